// An installed environment in use.
#include "store/held_installation.h"

#include <fcntl.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/file_lock.h"
#include "pyro/error.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

/// Who removes it, or only asks whether it is in use, has it locked for a moment.
constexpr std::chrono::seconds kPatience{1};
constexpr std::chrono::milliseconds kPause{10};

Fd open_artifact(const HeldInstallation& held, std::size_t kind) {
  const std::string name(kArtifactKinds[kind].name);
  return open_at(held.directory.get(), name, O_RDONLY | O_NONBLOCK, 0,
                 held.installation.directory / name);
}

}  // namespace

std::optional<HeldInstallation> hold_installation(const std::filesystem::path& directory,
                                                  const Environment& environment) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    Fd fd = try_open_directory(AT_FDCWD, directory.native());
    if (!fd) return std::nullopt;
    const bool locked = try_share_directory(fd.get());
    // Replaced or removed between opening and locking: look again.
    if (!is_still_at(directory, fd.get())) continue;
    if (!locked && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (!locked) throw Error(ErrorCode::busy, directory.string() + " is being removed");
    auto found = find_installation_at(fd.get(), directory, environment.name, environment.version);
    if (!found) return std::nullopt;
    HeldInstallation held{.installation = std::move(*found), .directory = std::move(fd)};
    held.kernel = open_artifact(held, kKernel);
    held.rootfs = open_artifact(held, kRootfs);
    if (held.installation.has_initrd) held.initrd = open_artifact(held, kInitrd);
    return held;
  }
}

}  // namespace pyro
