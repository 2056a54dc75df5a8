// A directory in the making.
#include "store/staging_directory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/whole_calls.h"
#include "pyro/digest.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::string random_id() {
  Digest::Bytes bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw system_error("cannot get random bytes", errno);
  }
  return Digest(bytes).hex().substr(0, 16);
}

constexpr std::string_view kCannotExchange =
    "this file system cannot exchange two directories in one step: remove the old install, then "
    "pull";

bool exists(int directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

StagingDirectory::StagingDirectory(const CacheLayout& layout)
    : staging_path_(layout.staging_dir()),
      staging_(layout.make(layout.staging_dir())),
      locks_(layout.make(layout.locks_dir())) {
  // A prune that comes between making the directory and locking it may take it away: make another.
  do {
    make();
  } while (!lock_ || !exists(staging_.get(), id_));
}

void StagingDirectory::make() {
  lock_.reset();
  id_ = random_id();
  const std::filesystem::path path = staging_path_ / id_;
  if (::mkdirat(staging_.get(), id_.c_str(), 0755) != 0) {
    throw system_error("cannot make the directory " + path.string(), errno);
  }
  directory_ = Fd(try_open(staging_.get(), id_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!directory_ && errno == ENOENT) return;
  const int error_number = errno;
  try {
    if (!directory_) throw system_error("cannot open " + path.string(), error_number);
    lock_ = UseLock::try_acquire(locks_.get(), directory_.get(), LockKind::exclusive);
    // Who looks whether it is litter, or removes one that had its inode before, has it for a
    // moment.
    if (!lock_) ::unlinkat(staging_.get(), id_.c_str(), AT_REMOVEDIR);
  } catch (const Error&) {
    ::unlinkat(staging_.get(), id_.c_str(), AT_REMOVEDIR);
    throw;
  }
}

StagingDirectory::~StagingDirectory() {
  if (published_) return;
  // Removing takes descriptors, and want of them may be why it has to be removed.
  directory_.reset();
  try {
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The next prune gets it: nobody holds its lock by then.
  }
}

std::filesystem::path StagingDirectory::path_of(const std::string& name) const {
  return staging_path_ / id_ / name;
}

void StagingDirectory::publish(int parent, const std::filesystem::path& destination) {
  sync_file(directory_.get(), staging_path_ / id_);
  const bool replaced = move_to(parent, destination);
  lock_.reset();  // from here on others use it
  sync_file(parent, destination.parent_path());
  sync_file(staging_.get(), staging_path_);
  if (replaced) remove_replaced();
}

bool StagingDirectory::move_to(int parent, const std::filesystem::path& destination) {
  const std::string name = destination.filename().string();
  if (::renameat2(staging_.get(), id_.c_str(), parent, name.c_str(), RENAME_NOREPLACE) == 0) {
    published_ = true;
    return false;
  }
  if (errno == EEXIST) {
    exchange_with(parent, destination);
    return true;
  }
  // A file system without the flags of renameat2; rename(2) replaces nothing but an empty
  // directory.
  if (errno == EINVAL && !exists(parent, name) &&
      ::renameat(staging_.get(), id_.c_str(), parent, name.c_str()) == 0) {
    published_ = true;
    return false;
  }
  throw system_error("cannot publish " + destination.string(), errno);
}

// The old one and the new one change places.
void StagingDirectory::exchange_with(int parent, const std::filesystem::path& destination) {
  const std::string name = destination.filename().string();
  if (::renameat2(staging_.get(), id_.c_str(), parent, name.c_str(), RENAME_EXCHANGE) == 0) {
    published_ = true;
    return;
  }
  const int error_number = errno;
  Error error = system_error("cannot replace " + destination.string(), error_number);
  if (error_number == EINVAL) error.add_hint(std::string(kCannotExchange));
  throw error;
}

// The old one is in staging by now, and the exchange is durable.
void StagingDirectory::remove_replaced() {
  try {
    const Fd old(try_open(staging_.get(), id_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    const auto lock = old ? UseLock::try_acquire(locks_.get(), old.get(), LockKind::exclusive)
                          : std::optional<UseLock>();
    if (old && !lock) return;  // in use: a later prune removes it
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The new one stands; what is left of the old one is a later prune's.
  }
}

}  // namespace pyro
