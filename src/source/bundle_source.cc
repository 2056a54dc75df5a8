// An environment out of a runtime bundle on disk.
#include "source/bundle_source.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "base/files.h"
#include "pyro/error.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kCopySize = std::size_t{256} * 1024;
constexpr std::size_t kLargestManifest = std::size_t{4} << 20;

nlohmann::json read_manifest(const fs::path& runtime_dir) {
  const Fd directory(::open(runtime_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return {};
  const auto text = read_small_file_at(directory.get(), "manifest.json", kLargestManifest);
  return text ? nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false)
              : nlohmann::json();
}

// The value at a path of keys, or null.
const nlohmann::json* at_path(const nlohmann::json& object,
                              std::initializer_list<const char*> keys) {
  const nlohmann::json* value = &object;
  for (const char* key : keys) {
    if (!value->is_object() || !value->contains(key)) return nullptr;
    value = &value->at(key);
  }
  return value;
}

void require_platform(const nlohmann::json& manifest, const fs::path& directory) {
  const nlohmann::json* platform = at_path(manifest, {"platform"});
  if (platform == nullptr || !platform->is_string() || *platform == kPlatform) return;
  throw Error(ErrorCode::failed, "the runtime bundle " + directory.string() +
                                     " is for the platform '" + platform->get<std::string>() +
                                     "', not " + std::string(kPlatform));
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) throw system_error("cannot resolve " + path.string(), error.value());
  return real;
}

// Links are read from where the directory really is, so that is where they must count from.
fs::path link_target(const fs::path& artifact, const fs::path& install_dir) {
  const fs::path real_dir = real_path(install_dir.parent_path()) / install_dir.filename();
  return real_path(artifact).lexically_relative(real_dir);
}

// In the kernel where the file systems can; otherwise through a buffer.
void copy_range(int from, int to, off_t offset, off_t end, const fs::path& path) {
  while (offset < end) {
    off_t in = offset;
    off_t out = offset;
    const ssize_t n =
        ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - offset), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    offset += n;
  }
  std::vector<std::byte> buffer(offset < end ? kCopySize : 0);
  while (offset < end) {
    const auto wanted = std::min(buffer.size(), static_cast<std::size_t>(end - offset));
    const auto piece = std::span(buffer).first(wanted);
    const auto at = static_cast<std::uint64_t>(offset);
    if (pread_full(from, piece, at, path.string()) < wanted) {
      throw Error(ErrorCode::filesystem, path.string() + " changes while it is copied");
    }
    pwrite_all(to, piece, at, path.string());
    offset += static_cast<off_t>(wanted);
  }
}

// Copies what holds data, and leaves holes where there are holes.
void copy_data(int from, int to, off_t size, const fs::path& path) {
  for (off_t offset = 0; offset < size;) {
    const off_t start = ::lseek(from, offset, SEEK_DATA);
    if (start < 0 && errno == ENXIO) break;
    off_t end = start < 0 ? size : ::lseek(from, start, SEEK_HOLE);
    if (end < 0) end = size;
    copy_range(from, to, start < 0 ? offset : start, end, path);
    offset = end;
  }
  if (::ftruncate(to, size) != 0) throw system_error("cannot copy " + path.string(), errno);
}

void copy_artifact(const fs::path& from_path, int staging, const std::string& name) {
  const Fd from = open_at(AT_FDCWD, from_path.string(), O_RDONLY, 0, from_path);
  const Fd to = open_at(staging, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, name);
  if (::ioctl(to.get(), FICLONE, from.get()) != 0) {
    struct stat status {};
    if (::fstat(from.get(), &status) != 0) {
      throw system_error("cannot copy " + from_path.string(), errno);
    }
    copy_data(from.get(), to.get(), status.st_size, from_path);
  }
  sync_file(to.get(), name);
}

}  // namespace

RuntimeBundle::RuntimeBundle(fs::path directory) : directory_(std::move(directory)) {
  const nlohmann::json manifest = read_manifest(directory_);
  require_platform(manifest, directory_);
  const nlohmann::json* profiles = at_path(manifest, {"profiles"});
  if (profiles == nullptr || !profiles->is_object()) return;
  for (const auto& [profile, content] : profiles->items()) {
    const nlohmann::json* digest = at_path(content, {"rootfs", "sha256"});
    if (digest != nullptr && digest->is_string()) {
      digests_[profile] = digest->get<std::string>();
    }
  }
}

std::optional<std::string> RuntimeBundle::digest_of(const Environment& environment) const {
  const auto found = digests_.find(environment.source_profile);
  return found == digests_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<fs::path> RuntimeBundle::find(const Environment& environment) const {
  const fs::path profile = directory_ / "profiles" / environment.source_profile;
  for (const ArtifactKind& kind : kArtifactKinds) {
    if (kind.required && !is_file(profile / kind.name)) return std::nullopt;
  }
  return profile;
}

void install_from_bundle(const fs::path& profile, int staging, const fs::path& install_dir) {
  for (const ArtifactKind& kind : kArtifactKinds) {
    const fs::path artifact = profile / kind.name;
    if (!is_file(artifact)) continue;
    const std::string name(kind.name);
    const std::string target = link_target(artifact, install_dir).string();
    if (::symlinkat(target.c_str(), staging, name.c_str()) != 0) {
      copy_artifact(artifact, staging, name);
    }
  }
}

}  // namespace pyro
