// Says of a directory of the cache that it is in use.
#include "store/use_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/whole_calls.h"

namespace pyro {
namespace {

constexpr std::string_view kSuffix = ".use";

std::string name_for(int directory) {
  struct stat status {};
  if (::fstat(directory, &status) != 0) throw system_error("cannot look at a directory", errno);
  return std::to_string(status.st_ino) + std::string(kSuffix);
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
    // A process that opened the file meanwhile finds, once it has the lock, that it is removed.
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
  return try_acquire(locks, name_for(directory), O_CREAT, kind);
}

std::optional<UseLock> UseLock::try_share(const CacheLayout& layout, int directory) {
  if (!layout.rights().mends()) return UseLock();
  const std::string name = name_for(directory);
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
  const std::string name = name_for(directory);
  const Fd file(try_open(locks.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK));
  return file && !try_lock(file.get(), LockKind::exclusive, layout.locks_dir() / name);
}

void UseLock::remove_stale(const CacheLayout& layout) {
  const Fd locks = layout.open(layout.locks_dir());
  if (!locks) return;
  for (const std::string& name : directory_names(locks.get(), layout.locks_dir())) {
    if (!name.ends_with(kSuffix)) continue;
    try {
      static_cast<void>(try_acquire(locks.get(), name, 0, LockKind::exclusive));
    } catch (const Error&) {
      // It went just now, or is no file of ours.
    }
  }
}

}  // namespace pyro
