// Locks on directories of the cache that are in use, and the time of the last use.
//
//   <root>/locks/<inode of the directory>.use     shared by users, exclusive for writers
//   <root>/used/<install directory>               empty; its time is that of the last boot
//
// Users run or read an install; writers make a directory in staging, or remove an install. A lock
// on the directory itself could be held by every user who may read it, and over NFS other hosts
// would not see it. The inode identifies the directory whatever its name: an install that was
// replaced stays locked where it was moved to. The device is not part of the name, as hosts number
// devices differently.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "store/install_record.h"
#include "store/layout.h"

namespace pyro {

/// A lock, released by the destructor; the last holder removes its file. A default-constructed one
/// holds nothing.
class UseLock {
 public:
  UseLock() = default;
  UseLock(UseLock&&) noexcept = default;
  UseLock& operator=(UseLock&& other) noexcept;
  ~UseLock();

  /// Locks the directory open as `directory`, with a file in the folder open as `locks`. Nothing
  /// while another lock conflicts.
  /// @throws Error(filesystem)
  [[nodiscard]] static std::optional<UseLock> try_acquire(int locks, int directory, LockKind kind);

  /// A shared lock. In a store, or a cache that cannot be written, the result holds nothing: open
  /// files stay readable when an install is removed.
  /// @throws Error(filesystem) where the file system has no locks
  [[nodiscard]] static std::optional<UseLock> try_share(const CacheLayout& layout, int directory);

  /// Whether the directory is locked. Creates no file.
  [[nodiscard]] static bool is_held(const CacheLayout& layout, int directory);

  /// Removes lock files that processes left when they were killed.
  static void remove_stale(const CacheLayout& layout);

 private:
  [[nodiscard]] static std::optional<UseLock> try_acquire(int locks, std::string name, int flags,
                                                          LockKind kind);

  Fd locks_;
  std::string name_;
  Fd file_;
};

/// Whether the install called `name`, open as `directory`, is in use or being pulled.
[[nodiscard]] bool is_in_use(const CacheLayout& layout, const std::string& name, int directory);

/// The processes that use it or pull it, as far as this kernel tells.
[[nodiscard]] std::vector<int> users_of(const CacheLayout& layout, const std::string& name,
                                        int directory);

/// Removes an install. From begin() to the destructor no other process pulls or uses it.
class InstallRemoval {
 public:
  /// Locks the install called `name` in `folder`, which must outlive this. Nothing when it is in
  /// use, or is no longer the directory open as `directory`.
  /// @throws Error(filesystem)
  [[nodiscard]] static std::optional<InstallRemoval> begin(const CacheLayout& layout,
                                                           const InstallsFolder& folder,
                                                           const std::string& name, int directory);

  /// Moves it out of its place in one step, then deletes it.
  /// @throws Error(filesystem)
  void commit();

 private:
  InstallRemoval(const CacheLayout& layout, const InstallsFolder& folder, std::string name,
                 FileLock lock, UseLock use)
      : layout_(&layout),
        folder_(&folder),
        name_(std::move(name)),
        lock_(std::move(lock)),
        use_(std::move(use)) {}

  const CacheLayout* layout_;
  const InstallsFolder* folder_;
  std::string name_;
  FileLock lock_;
  UseLock use_;
};

/// Records that an install is used now, with two system calls. Installing and booting count as use;
/// access times are rarely kept, and a pull of an installed environment writes nothing. Failures
/// are ignored: a cache may be read-only.
void note_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept;

/// Removes the record of its last use.
void forget_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept;

/// When it was installed or last used, to the second; at most now.
[[nodiscard]] std::chrono::system_clock::time_point last_use(
    const CacheLayout& layout, const std::string& install_directory_name,
    const InstallRecord& record);

}  // namespace pyro
