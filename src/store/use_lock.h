// Says of a directory of the cache that it is in use: of an install by who runs or reads it, of a
// staging directory by who works in it.
//
//   <root>/locks/<inode of the directory>.use     shared by users, exclusive for who makes or
//   removes
//
// A lock on the directory itself could be held by all who may read it, and on NFS it would be seen
// by one host alone. The inode tells the directory whatever its name: an install that was replaced
// stays in use where it was put. The device is no part of the name, as hosts number theirs.
#pragma once

#include <optional>
#include <string>

#include "base/file_lock.h"
#include "base/files.h"
#include "store/layout.h"

namespace pyro {

/// Held until it goes; who holds it last removes its file. Without one, nothing is held.
class UseLock {
 public:
  UseLock() = default;
  UseLock(UseLock&&) noexcept = default;
  UseLock& operator=(UseLock&& other) noexcept;
  ~UseLock();

  /// On the directory open as `directory`, by the cache's folder for locks; nothing while another
  /// lock is in the way.
  /// @throws Error(filesystem)
  [[nodiscard]] static std::optional<UseLock> try_acquire(int locks, int directory, LockKind kind);

  /// Shared. In a store, and where no file can be made, as in a cache that may only be read,
  /// nothing is held: what is open stays readable when it is removed.
  /// @throws Error(filesystem) where there are no locks
  [[nodiscard]] static std::optional<UseLock> try_share(const CacheLayout& layout, int directory);

  /// Whether anything is held on it. Makes no file.
  [[nodiscard]] static bool is_held(const CacheLayout& layout, int directory);

  /// Removes the files of those that nothing is held with: of processes that were killed.
  static void remove_stale(const CacheLayout& layout);

 private:
  [[nodiscard]] static std::optional<UseLock> try_acquire(int locks, std::string name, int flags,
                                                          LockKind kind);

  Fd locks_;
  std::string name_;
  Fd file_;
};

}  // namespace pyro
