// Every path of the cache, and the way into its folders: here, and nowhere else (spec section 4).
//
//   <root>/linux-x86_64/<install directory>/{vmlinux,rootfs.ext4,initrd.img,environment.json}
//   <root>/locks/<install directory>.lock     one per environment, never removed
//   <root>/locks/<inode>.use                  of a directory in use (store/use_lock.h)
//   <root>/staging/<id>/                      what is being made, or was replaced
//   <root>/partial/<digest>                   what arrived of a layer before a pull broke off
//   <root>/prepared/<name>/<network>/         saved states of machines (vm/prepared_state.h)
//   <root>/used/<install directory>           its time is when that was last booted
//   <root>/host/kvm.json                      what was found out about this host
//
// The reference's prune deletes what it does not know inside the platform folder, so everything of
// ours is outside.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"
#include "pyro/catalog.h"
#include "store/rights.h"

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
  /// Nothing is looked at before a function asks for it.
  explicit CacheLayout(std::filesystem::path root, Rights::Warn warn = {})
      : CacheLayout(std::move(root), Rights(Rights::Excess::taken_away, std::move(warn))) {}
  CacheLayout(std::filesystem::path root, Rights rights)
      : root_(std::move(root)), rights_(std::move(rights)) {}

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

  /// Opens the root, once, and judges it; all that is below is opened from there. One that is not
  /// there is fine.
  /// @throws Error(filesystem)
  void check_root() const;

  /// One of the folders above, each part of its path judged and none a link; empty, with errno set,
  /// where it cannot be opened.
  /// @throws Error(filesystem) for what may not be used
  [[nodiscard]] Fd open(const std::filesystem::path& folder) const {
    return open(folder, O_NOFOLLOW);
  }
  /// The platform folder, for who uses what is installed: its user may have put it elsewhere, with
  /// a link in its place, that prune leaves alone.
  [[nodiscard]] Fd open_platform() const { return open(platform_dir(), 0); }

  /// The same; what is not there is made: the root for its user alone, what is in it as the umask
  /// has it.
  /// @throws Error(filesystem)
  [[nodiscard]] Fd make(const std::filesystem::path& folder) const {
    return make(folder, O_NOFOLLOW);
  }
  [[nodiscard]] Fd make_platform() const { return make(platform_dir(), 0); }

  [[nodiscard]] const Rights& rights() const noexcept { return rights_; }

 private:
  void make_root() const;
  [[nodiscard]] Fd open(const std::filesystem::path& folder, int no_follow) const;
  [[nodiscard]] Fd make(const std::filesystem::path& folder, int no_follow) const;

  std::filesystem::path root_;
  Rights rights_;
  mutable Fd opened_root_;
};

}  // namespace pyro
