// New content of the cache.
#include "store/transaction.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/directories.h"
#include "base/files.h"
#include "pyro/digest.h"
#include "pyro/error.h"
#include "stream/artifacts.h"
#include "stream/merged_view.h"

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

std::string candidate_name(std::size_t file) {
  return "candidate-" + std::to_string(file);
}

}  // namespace

StagingDirectory::StagingDirectory(const CacheLayout& layout)
    : staging_path_(layout.staging_dir()),
      staging_(layout.make(layout.staging_dir())),
      locks_(layout.make(layout.locks_dir())) {
  // A prune between creating and locking the directory may remove it: create another.
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
    // A prune holds the lock for a moment, and so does the removal of a directory that had the same
    // inode.
    if (!lock_) ::unlinkat(staging_.get(), id_.c_str(), AT_REMOVEDIR);
  } catch (const Error&) {
    ::unlinkat(staging_.get(), id_.c_str(), AT_REMOVEDIR);
    throw;
  }
}

StagingDirectory::~StagingDirectory() {
  if (published_) return;
  // Removing needs descriptors, and a lack of them may be why this is removed.
  directory_.reset();
  try {
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The next prune removes it, as its lock is free.
  }
}

std::filesystem::path StagingDirectory::path_of(const std::string& name) const {
  return staging_path_ / id_ / name;
}

void StagingDirectory::publish(int parent, const std::filesystem::path& destination) {
  sync_file(directory_.get(), staging_path_ / id_);
  const bool replaced = move_to(parent, destination);
  lock_.reset();  // others may use it from here on
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
  // A file system without the flags of renameat2. rename(2) replaces only an empty directory.
  if (errno == EINVAL && !exists(parent, name) &&
      ::renameat(staging_.get(), id_.c_str(), parent, name.c_str()) == 0) {
    published_ = true;
    return false;
  }
  throw system_error("cannot publish " + destination.string(), errno);
}

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

// The old directory is in staging now, and the exchange is durable.
void StagingDirectory::remove_replaced() {
  try {
    const Fd old(try_open(staging_.get(), id_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    const auto lock = old ? UseLock::try_acquire(locks_.get(), old.get(), LockKind::exclusive)
                          : std::optional<UseLock>();
    if (old && !lock) return;  // in use: a later prune removes it
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The new one is published; a later prune removes the rest of the old one.
  }
}

Transaction::Transaction(const CacheLayout& layout, const Environment& environment)
    : destination_(layout.install_dir(environment)),
      installs_(layout.make_installs(environment.kind)),
      staging_(layout) {}

std::vector<int> Transaction::open_candidates() {
  std::vector<int> files;
  for (std::size_t file = 0; file < MergedView::kFiles; ++file) {
    const std::string name = candidate_name(file);
    candidates_.push_back(open_at(directory(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644,
                                  staging_.path_of(name)));
    files.push_back(candidates_.back().get());
  }
  return files;
}

void Transaction::keep(const std::vector<WrittenArtifact>& artifacts) {
  for (const WrittenArtifact& artifact : artifacts) {
    require_artifact_content(candidates_[artifact.file].get(), artifact.kind);
    // By the descriptor that wrote it: a new one would not report earlier write-back errors.
    sync_file(candidates_[artifact.file].get(), destination_ / kArtifactKinds[artifact.kind].name);
    const std::string from = candidate_name(artifact.file);
    const std::string to(kArtifactKinds[artifact.kind].name);
    if (::renameat(directory(), from.c_str(), directory(), to.c_str()) != 0) {
      throw system_error("cannot name " + staging_.path_of(to).string(), errno);
    }
  }
  for (std::size_t file = 0; file < candidates_.size(); ++file) {
    ::unlinkat(directory(), candidate_name(file).c_str(), 0);  // a kept one is gone already
  }
  candidates_.clear();
}

void Transaction::commit(const InstallRecord& record) {
  write_record(record);
  staging_.publish(installs_.get(), destination_);
}

void Transaction::write_record(const InstallRecord& record) const {
  const std::filesystem::path path = staging_.path_of(kRecordName);
  const Fd file =
      open_at(directory(), kRecordName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
  write_all(file.get(), record.render(), path);
  sync_file(file.get(), path);
}

}  // namespace pyro
