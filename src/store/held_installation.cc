// An installed environment in use.
#include "store/held_installation.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "base/whole_calls.h"
#include "pyro/error.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

/// Who removes it, or only asks whether it is in use, has it locked for a moment.
constexpr std::chrono::seconds kPatience{1};
constexpr std::chrono::milliseconds kPause{10};

/// Through a link where it is one: bundles are installed as links. Judged as it is used.
Fd open_artifact(const CacheLayout& layout, const HeldInstallation& held, std::size_t kind) {
  const std::string name(kArtifactKinds[kind].name);
  const std::filesystem::path path = held.installation.directory / name;
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;
  Fd file(try_open(held.directory.get(), name.c_str(), kFlags | O_NOFOLLOW));
  const bool is_link = !file && errno == ELOOP;
  if (!file) file = open_at(held.directory.get(), name, kFlags, 0, path);
  layout.rights().guard(file.get(), path,
                        is_link ? Rights::Owner::any_for_root : Rights::Owner::user_or_root);
  return file;
}

}  // namespace

std::optional<HeldInstallation> hold_installation(const CacheLayout& layout,
                                                  const Environment& environment) {
  const Fd platform = layout.open_platform();
  if (!platform) return std::nullopt;
  const std::filesystem::path directory = layout.install_dir(environment);
  const std::string name = directory.filename().string();
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    Fd fd = try_open_directory(platform.get(), name);
    if (!fd) return std::nullopt;
    auto use = UseLock::try_share(layout, fd.get());
    // Replaced or removed between opening and locking: look again.
    if (!is_still_in(platform.get(), name, fd.get())) continue;
    if (!use && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (!use) throw Error(ErrorCode::busy, directory.string() + " is being removed");
    auto found =
        find_installation_at(layout, fd.get(), directory, environment.name, environment.version);
    if (!found) return std::nullopt;
    HeldInstallation held{
        .installation = std::move(*found), .directory = std::move(fd), .use = std::move(*use)};
    held.kernel = open_artifact(layout, held, kKernel);
    held.rootfs = open_artifact(layout, held, kRootfs);
    if (held.installation.has_initrd) held.initrd = open_artifact(layout, held, kInitrd);
    return held;
  }
}

}  // namespace pyro
