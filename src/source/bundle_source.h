// An environment out of a runtime bundle on disk: linked, or copied where links are impossible.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "pyro/catalog.h"

namespace pyro {

/// `source` of an install out of a bundle.
inline constexpr const char* kBundleSource = "bundled-runtime-source";

/// A directory with `manifest.json` and `profiles/<source profile>/{vmlinux,rootfs.ext4}`.
class RuntimeBundle {
 public:
  /// Reads the manifest; leniently, as the reference does: what is not there or not of the expected
  /// type does not count.
  /// @throws Error(failed) when it is for another platform.
  explicit RuntimeBundle(std::filesystem::path directory);

  /// Nothing where no directory is configured.
  [[nodiscard]] static std::optional<RuntimeBundle> of(
      const std::optional<std::filesystem::path>& directory);

  /// The manifest's `profiles.<profile>.rootfs.sha256`.
  [[nodiscard]] std::optional<std::string> digest_of(const Environment& environment) const;

  /// The profile's directory when every required artifact in it is a regular file.
  [[nodiscard]] std::optional<std::filesystem::path> find(const Environment& environment) const;

 private:
  std::filesystem::path directory_;
  std::map<std::string, std::string> digests_;  // by profile
};

/// Puts the artifacts of `profile` into the directory `staging` is open on, as links relative to
/// `install_dir`, the directory's place after publishing (its parent must exist); as copies (shared
/// extents, else holes kept) where the file system has no links.
/// @throws Error(filesystem)
void install_from_bundle(const std::filesystem::path& profile, int staging,
                         const std::filesystem::path& install_dir);

}  // namespace pyro
