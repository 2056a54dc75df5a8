// Takes an install out of the cache.
#include "store/install_removal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/file_lock.h"
#include "base/files.h"
#include "base/whole_calls.h"
#include "store/last_use.h"

namespace pyro {
namespace {

void move_out(const CacheLayout& layout, int platform, const std::string& name, int staging) {
  remove_tree_at(staging, name, layout.staging_dir() / name);
  if (::renameat(platform, name.c_str(), staging, name.c_str()) != 0) {
    throw system_error("cannot remove " + (layout.platform_dir() / name).string(), errno);
  }
  sync_file(platform, layout.platform_dir());
}

}  // namespace

bool is_in_use(const CacheLayout& layout, const std::string& name, int directory) {
  const Fd lock(try_open(AT_FDCWD, (layout.locks_dir() / CacheLayout::lock_name(name)).c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  const bool pulled = lock && !try_lock(lock.get(), LockKind::shared, CacheLayout::lock_name(name));
  return pulled || UseLock::is_held(layout, directory);
}

std::optional<InstallRemoval> InstallRemoval::begin(const CacheLayout& layout, int platform,
                                                    const std::string& name, int directory) {
  // A pull may be about to replace it.
  const Fd locks = layout.make(layout.locks_dir());
  const std::string lock_name = CacheLayout::lock_name(name);
  auto lock = FileLock::try_acquire(locks.get(), lock_name, layout.locks_dir() / lock_name);
  if (!lock) return std::nullopt;
  auto use = UseLock::try_acquire(locks.get(), directory, LockKind::exclusive);
  if (!use || !is_still_in(platform, name, directory)) return std::nullopt;
  return InstallRemoval(layout, platform, name, std::move(*lock), std::move(*use));
}

void InstallRemoval::commit() {
  const Fd staging = layout_->make(layout_->staging_dir());
  move_out(*layout_, platform_, name_, staging.get());
  remove_tree_at(staging.get(), name_, layout_->staging_dir() / name_);
  forget_use(*layout_, name_);
}

}  // namespace pyro
