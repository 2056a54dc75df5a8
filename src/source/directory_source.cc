// An environment from a directory.
#include "source/directory_source.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/directories.h"
#include "base/files.h"
#include "base/fs_verity.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "pyro/error.h"
#include "source/fetch.h"
#include "stream/artifacts.h"
#include "stream/extract.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(int file, const std::string& subject) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + subject, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

void check_size(const fs::path& artifact, std::size_t kind, const ExtractionLimits& limits) {
  const std::uint64_t size = fs::file_size(artifact);
  const std::uint64_t limit = limit_of(limits, kind);
  if (size <= limit) return;
  throw Error(ErrorCode::integrity,
              artifact.string() + " is " + mib(size) + "; the limit is " + mib(limit));
}

constexpr std::size_t kCopyBuffer = std::size_t{256} * 1024;
/// Bytes of one system call: between two, a request to stop is checked.
constexpr off_t kCopyPiece = off_t{64} << 20;

/// An operation on the data of an open file called `name`.
Operation operation_on(std::string_view operation, std::string_view name, int file) {
  struct stat status {};
  static_cast<void>(::fstat(file, &status));
  return {
      .name = operation, .subject = name, .unit = ProgressUnit::bytes, .total = data_bytes(status)};
}

class Copying {
 public:
  Copying(const std::filesystem::path& from, const Fd& to, const std::string& name,
          const std::stop_token& stop, ProgressListener* progress)
      : path_(from.string()),
        // O_NONBLOCK: the file may have been replaced by a FIFO.
        from_(open_at(AT_FDCWD, path_, O_RDONLY | O_NONBLOCK, 0, from)),
        to_(to),
        name_(name),
        stop_(stop),
        operation_(progress, operation_on("copying", name, from_.get())) {}

  void run(const std::filesystem::path& target_dir) {
    if (::ioctl(to_.get(), FICLONE, from_.get()) == 0) return;
    struct stat status {};
    if (::fstat(from_.get(), &status) != 0) throw system_error("cannot copy " + path_, errno);
    require_free_space(target_dir, static_cast<std::uint64_t>(status.st_blocks) * 512);
    copy_data(status.st_size);
  }

 private:
  // Copies data, and leaves holes.
  void copy_data(off_t size) {
    for (off_t offset = 0; offset < size;) {
      const off_t start = ::lseek(from_.get(), offset, SEEK_DATA);
      if (start < 0 && errno == ENXIO) break;
      off_t end = start < 0 ? size : ::lseek(from_.get(), start, SEEK_HOLE);
      if (end < 0) end = size;
      copy_range(start < 0 ? offset : start, end);
      offset = end;
    }
    if (!set_size(to_.get(), static_cast<std::uint64_t>(size))) {
      throw system_error("cannot write " + name_, errno);
    }
  }

  // In the kernel if the file systems can; else through a buffer.
  void copy_range(off_t offset, off_t end) {
    while (offset < end) {
      check_stop();
      off_t in = offset;
      off_t out = offset;
      const auto piece = static_cast<std::size_t>(std::min(kCopyPiece, end - offset));
      const ssize_t n = uninterrupted(
          [&] { return ::copy_file_range(from_.get(), &in, to_.get(), &out, piece, 0); });
      if (n <= 0) break;
      offset += n;
      operation_.add(static_cast<std::uint64_t>(n));
    }
    std::vector<std::byte> buffer(offset < end ? kCopyBuffer : 0);
    for (; offset < end; offset += static_cast<off_t>(buffer.size())) {
      check_stop();
      const auto wanted = std::min(buffer.size(), static_cast<std::size_t>(end - offset));
      copy_piece(std::span(buffer).first(wanted), static_cast<std::uint64_t>(offset));
    }
  }

  void copy_piece(std::span<std::byte> piece, std::uint64_t offset) {
    pread_all(from_.get(), piece, offset, path_);
    pwrite_all(to_.get(), piece, offset, name_);
    operation_.add(piece.size());
  }

  void check_stop() const {
    if (stop_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  }

  const std::string path_;
  const Fd from_;
  const Fd& to_;
  const std::string& name_;
  const std::stop_token& stop_;
  RunningOperation operation_;
};

constexpr std::size_t kMaxBundleManifest = std::size_t{4} << 20;

nlohmann::json read_manifest(const fs::path& runtime_dir) {
  const Fd directory(try_open(AT_FDCWD, runtime_dir.c_str(), O_RDONLY | O_DIRECTORY));
  if (!directory) return {};
  const auto text = read_small_file_at(directory.get(), "manifest.json", kMaxBundleManifest);
  return parse_strict_json_or_null(text.value_or(""));
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

fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) throw system_error("cannot resolve " + path.string(), error.value());
  return real;
}

// The target is relative to the real path of the directory.
fs::path link_target(const fs::path& artifact, const fs::path& install_dir) {
  const fs::path real_dir = real_path(install_dir.parent_path()) / install_dir.filename();
  return real_path(artifact).lexically_relative(real_dir);
}

}  // namespace

bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

bool holds_artifacts(const fs::path& directory) {
  for (const ArtifactKind& kind : kArtifactKinds) {
    if (kind.required && !is_file(directory / kind.name)) return false;
  }
  return true;
}

std::vector<WrittenArtifact> copy_artifacts(const fs::path& directory, int staging,
                                            const fs::path& target_dir,
                                            const ExtractionLimits& limits,
                                            const std::stop_token& stop,
                                            ProgressListener& progress) {
  std::vector<WrittenArtifact> artifacts;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const std::string name(kArtifactKinds[kind].name);
    if (is_file(directory / name)) {
      check_size(directory / name, kind, limits);
      const Fd copy = copy_file(directory / name, staging, name, target_dir, stop, &progress);
      require_artifact_content(copy.get(), kind);
      const std::uint64_t size = size_of(copy.get(), name);
      RunningOperation operation(&progress, operation_on("hashing", name, copy.get()));
      artifacts.push_back({.kind = kind,
                           .file = kind,
                           .size = size,
                           .digest = file_verity(copy.get(), size, name, stop, &operation)});
    } else if (kArtifactKinds[kind].required) {
      throw Error(ErrorCode::integrity, "the directory " + directory.string() + " has no " + name);
    }
  }
  return artifacts;
}

Fd copy_file(const std::filesystem::path& from, int to, const std::string& name,
             const std::filesystem::path& target_dir, const std::stop_token& stop,
             ProgressListener* progress) {
  Fd copy = open_at(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, name);
  Copying copying(from, copy, name, stop, progress);
  copying.run(target_dir);
  sync_file(copy.get(), name);
  return copy;
}

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

std::optional<RuntimeBundle> RuntimeBundle::of(const std::optional<fs::path>& directory) {
  if (!directory) return std::nullopt;
  return RuntimeBundle(*directory);
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
      copy_file(artifact, staging, name, install_dir.parent_path());
    }
  }
}

}  // namespace pyro
