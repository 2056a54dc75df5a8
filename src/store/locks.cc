// Use of directories in the cache.
#include "store/locks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <utility>

#include "base/directories.h"
#include "base/files.h"

namespace pyro {
namespace {

constexpr std::string_view kUseLockSuffix = ".use";

std::string use_lock_name(int directory) {
  struct stat status {};
  if (::fstat(directory, &status) != 0) throw system_error("cannot look at a directory", errno);
  return std::to_string(status.st_ino) + std::string(kUseLockSuffix);
}

void move_out(const CacheLayout& layout, const InstallsFolder& folder, const std::string& name,
              int staging) {
  remove_tree_at(staging, name, layout.staging_dir() / name);
  if (::renameat(folder.fd.get(), name.c_str(), staging, name.c_str()) != 0) {
    throw system_error("cannot remove " + (folder.path / name).string(), errno);
  }
  sync_file(folder.fd.get(), folder.path);
}

void make_mark(const CacheLayout& layout, const std::string& name) {
  const Fd used = layout.make(layout.used_dir());
  static_cast<void>(open_at(used.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644,
                            layout.used_dir() / name));
}

std::time_t time_of_mark(const CacheLayout& layout, const std::string& name) {
  struct stat status {};
  const std::filesystem::path mark = layout.used_dir() / name;
  return ::lstat(mark.c_str(), &status) == 0 ? status.st_mtim.tv_sec : 0;
}

}  // namespace

UseLock& UseLock::operator=(UseLock&& other) noexcept {
  std::swap(locks_, other.locks_);
  std::swap(name_, other.name_);
  std::swap(file_, other.file_);
  return *this;
}

UseLock::~UseLock() {
  try {
    // A process that opened the file meanwhile checks, once it has the lock, whether it still
    // exists.
    if (file_ && try_lock(file_.get(), LockKind::exclusive, name_) &&
        is_still_in(locks_.get(), name_, file_.get())) {
      ::unlinkat(locks_.get(), name_.c_str(), 0);
    }
  } catch (const Error&) {
    // A later prune removes it.
  }
}

std::optional<UseLock> UseLock::try_acquire(int locks, std::string name, int flags, LockKind kind) {
  UseLock lock;
  lock.name_ = std::move(name);
  lock.locks_ = open_at(locks, ".", O_RDONLY | O_DIRECTORY, 0, "the folder for locks");
  while (true) {
    Fd file =
        open_at(locks, lock.name_, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0600, lock.name_);
    if (!try_lock(file.get(), kind, lock.name_)) return std::nullopt;
    if (!is_still_in(locks, lock.name_, file.get())) continue;
    lock.file_ = std::move(file);
    return lock;
  }
}

std::optional<UseLock> UseLock::try_acquire(int locks, int directory, LockKind kind) {
  return try_acquire(locks, use_lock_name(directory), O_CREAT, kind);
}

std::optional<UseLock> UseLock::try_share(const CacheLayout& layout, int directory) {
  if (!layout.rights().mends()) return UseLock();
  const std::string name = use_lock_name(directory);
  Fd locks;
  try {
    locks = layout.make(layout.locks_dir());
    static_cast<void>(open_at(locks.get(), name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600,
                              layout.locks_dir() / name));
  } catch (const Error&) {
    return UseLock();
  }
  return try_acquire(locks.get(), name, O_CREAT, LockKind::shared);
}

bool UseLock::is_held(const CacheLayout& layout, int directory) {
  const Fd locks = layout.open(layout.locks_dir());
  const std::string name = use_lock_name(directory);
  const Fd file(try_open(locks.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK));
  return file && !try_lock(file.get(), LockKind::exclusive, layout.locks_dir() / name);
}

void UseLock::remove_stale(const CacheLayout& layout) {
  const Fd locks = layout.open(layout.locks_dir());
  if (!locks) return;
  for (const std::string& name : directory_names(locks.get(), layout.locks_dir())) {
    if (!name.ends_with(kUseLockSuffix)) continue;
    try {
      static_cast<void>(try_acquire(locks.get(), name, 0, LockKind::exclusive));
    } catch (const Error&) {
      // Removed meanwhile, or not our file.
    }
  }
}

bool is_in_use(const CacheLayout& layout, const std::string& name, int directory) {
  const Fd lock(try_open(AT_FDCWD, (layout.locks_dir() / CacheLayout::lock_name(name)).c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  const bool pulled = lock && !try_lock(lock.get(), LockKind::shared, CacheLayout::lock_name(name));
  return pulled || UseLock::is_held(layout, directory);
}

std::vector<int> users_of(const CacheLayout& layout, const std::string& name, int directory) {
  const Fd locks = layout.open(layout.locks_dir());
  std::vector<int> users;
  for (const std::string& lock : {CacheLayout::lock_name(name), use_lock_name(directory)}) {
    const Fd file(try_open(locks.get(), lock.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    const std::vector<int> holders = lock_holders(file.get());
    users.insert(users.end(), holders.begin(), holders.end());
  }
  std::ranges::sort(users);
  users.erase(std::unique(users.begin(), users.end()), users.end());
  return users;
}

std::optional<InstallRemoval> InstallRemoval::begin(const CacheLayout& layout,
                                                    const InstallsFolder& folder,
                                                    const std::string& name, int directory) {
  // A pull may be about to replace it.
  const Fd locks = layout.make(layout.locks_dir());
  const std::string lock_name = CacheLayout::lock_name(name);
  auto lock = FileLock::try_acquire(locks.get(), lock_name, layout.locks_dir() / lock_name);
  if (!lock) return std::nullopt;
  auto use = UseLock::try_acquire(locks.get(), directory, LockKind::exclusive);
  if (!use || !is_still_in(folder.fd.get(), name, directory)) return std::nullopt;
  return InstallRemoval(layout, folder, name, std::move(*lock), std::move(*use));
}

void InstallRemoval::commit() {
  const Fd staging = layout_->make(layout_->staging_dir());
  move_out(*layout_, *folder_, name_, staging.get());
  remove_tree_at(staging.get(), name_, layout_->staging_dir() / name_);
  forget_use(*layout_, name_);
}

void note_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept {
  try {
    const Fd used = layout.open(layout.used_dir());
    if (used && ::utimensat(used.get(), install_directory_name.c_str(), nullptr,
                            AT_SYMLINK_NOFOLLOW) == 0) {
      return;
    }
    if (errno == ENOENT) make_mark(layout, install_directory_name);
  } catch (const std::exception&) {
    // The install will seem unused for longer than it is.
  }
}

void forget_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept {
  try {
    const Fd used = layout.open(layout.used_dir());
    if (used) ::unlinkat(used.get(), install_directory_name.c_str(), 0);
  } catch (const std::exception&) {
    // A record without an install does no harm.
  }
}

std::chrono::system_clock::time_point last_use(const CacheLayout& layout,
                                               const std::string& install_directory_name,
                                               const InstallRecord& record) {
  const std::time_t used = time_of_mark(layout, install_directory_name);
  const std::time_t later = std::max<std::time_t>(used, record.installed_at);
  return std::chrono::system_clock::from_time_t(
      std::clamp<std::time_t>(later, 0, std::time(nullptr)));
}

}  // namespace pyro
