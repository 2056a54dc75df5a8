// Every path of the cache: built here, and nowhere else (spec section 4).
//
//   <root>/linux-x86_64/<install directory>/{vmlinux,rootfs.ext4,initrd.img,environment.json}
//   <root>/locks/<install directory>.lock     one per environment, never removed
//   <root>/staging/<id>/                      what is being made, or was replaced
//   <root>/partial/<digest>                   what arrived of a layer before a pull broke off
//   <root>/prepared/<name>/<network>/         saved states of machines (vm/prepared_state.h)
//   <root>/used/<install directory>           its time is when that was last booted
//   <root>/host/kvm.json                      what was found out about this host
//
// The reference's prune deletes what it does not know inside the platform folder, so everything of
// ours is outside.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "pyro/catalog.h"

namespace pyro {

inline constexpr const char* kRecordName = "environment.json";
/// The files of a saved state, one in each folder `prepared/<name>/<network>/`.
inline constexpr const char* kMemoryName = "memory";
inline constexpr const char* kDevicesName = "devices";
inline constexpr const char* kManifestName = "manifest.json";
/// What the Python reference calls an install in the making, inside the platform folder.
inline constexpr const char* kReferencePartialPrefix = ".partial-";

class CacheLayout {
 public:
  explicit CacheLayout(std::filesystem::path root) : root_(std::move(root)) {}

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  [[nodiscard]] std::filesystem::path platform_dir() const;
  [[nodiscard]] std::filesystem::path locks_dir() const;
  [[nodiscard]] std::filesystem::path staging_dir() const;
  [[nodiscard]] std::filesystem::path partial_dir() const;
  [[nodiscard]] std::filesystem::path prepared_dir() const;
  /// In there, whatever the version: that of the environment of this name.
  [[nodiscard]] static std::string prepared_name(const std::string& environment);
  [[nodiscard]] std::filesystem::path prepared_state_dir(const std::string& environment,
                                                         std::string_view network) const;
  /// The lock of whoever prepares it.
  [[nodiscard]] static std::string prepare_lock_name(const std::string& environment);
  [[nodiscard]] std::filesystem::path used_dir() const;
  [[nodiscard]] std::filesystem::path host_dir() const;
  [[nodiscard]] std::filesystem::path kvm_record() const;

  [[nodiscard]] std::filesystem::path install_dir(const Environment& environment) const;
  /// The lock of the environment installed in the directory of that name.
  [[nodiscard]] static std::string lock_name(const std::string& install_directory_name);

  /// Refuses a cache that somebody else could have filled: a root that is world-writable, or whose
  /// owner is neither the caller nor root. A root that is not there is fine.
  /// @throws Error(filesystem)
  void check_root() const;
  /// Whether a group may write to the root, which deserves a warning.
  [[nodiscard]] bool group_writable() const;

 private:
  std::filesystem::path root_;
};

}  // namespace pyro
