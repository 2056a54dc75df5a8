// An install in the making.
#include "store/install_transaction.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file_lock.h"
#include "pyro/error.h"
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

std::string candidate_name(std::size_t file) {
  return "candidate-" + std::to_string(file);
}

bool exists(int directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

InstallTransaction::InstallTransaction(const CacheLayout& layout, const Environment& environment)
    : destination_(layout.install_dir(environment)),
      staging_path_(layout.staging_dir()),
      platform_(make_and_open_directory(layout.platform_dir())),
      staging_(make_and_open_directory(layout.staging_dir())) {
  // A prune that comes between making the directory and locking it may take it away: make another.
  do {
    make_staging_directory();
  } while (!directory_ || !try_lock_directory(directory_.get()) || !exists(staging_.get(), id_));
}

void InstallTransaction::make_staging_directory() {
  id_ = random_id();
  const std::filesystem::path path = staging_path_ / id_;
  if (::mkdirat(staging_.get(), id_.c_str(), 0755) != 0) {
    throw system_error("cannot make the directory " + path.string(), errno);
  }
  directory_ =
      Fd(::openat(staging_.get(), id_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory_ || errno == ENOENT) return;
  const int error_number = errno;
  ::unlinkat(staging_.get(), id_.c_str(), AT_REMOVEDIR);
  throw system_error("cannot open " + path.string(), error_number);
}

InstallTransaction::~InstallTransaction() {
  if (published_) return;
  // Removing takes descriptors, and want of them may be why it has to be removed.
  candidates_.clear();
  directory_.reset();
  try {
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The next prune gets it: nobody holds its lock by then.
  }
}

std::vector<int> InstallTransaction::open_candidates() {
  std::vector<int> files;
  for (std::size_t file = 0; file < MergedView::kFiles; ++file) {
    const std::string name = candidate_name(file);
    candidates_.push_back(open_at(directory_.get(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
                                  0644, staging_path_ / id_ / name));
    files.push_back(candidates_.back().get());
  }
  return files;
}

void InstallTransaction::keep(const std::vector<WrittenArtifact>& artifacts) {
  for (const WrittenArtifact& artifact : artifacts) {
    // By the descriptor that wrote it: a new one would not hear of write-back that failed
    // meanwhile.
    sync_file(candidates_[artifact.file].get(), destination_ / kArtifactKinds[artifact.kind].name);
    const std::string from = candidate_name(artifact.file);
    const std::string to(kArtifactKinds[artifact.kind].name);
    if (::renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str()) != 0) {
      throw system_error("cannot name " + (staging_path_ / id_ / to).string(), errno);
    }
  }
  for (std::size_t file = 0; file < candidates_.size(); ++file) {
    ::unlinkat(directory_.get(), candidate_name(file).c_str(), 0);  // a kept one is gone already
  }
  candidates_.clear();
}

void InstallTransaction::commit(const InstallRecord& record) {
  write_record(record);
  sync_file(directory_.get(), staging_path_ / id_);
  const bool replaced = publish();
  sync_file(platform_.get(), destination_.parent_path());
  sync_file(staging_.get(), staging_path_);
  if (replaced) remove_replaced();
}

void InstallTransaction::write_record(const InstallRecord& record) const {
  const std::filesystem::path path = staging_path_ / id_ / kRecordName;
  const Fd file =
      open_at(directory_.get(), kRecordName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
  write_all(file.get(), record.render(), path);
  sync_file(file.get(), path);
}

bool InstallTransaction::publish() {
  const std::string name = destination_.filename().string();
  if (::renameat2(staging_.get(), id_.c_str(), platform_.get(), name.c_str(), RENAME_NOREPLACE) ==
      0) {
    published_ = true;
    return false;
  }
  if (errno == EEXIST) {
    exchange(name);
    return true;
  }
  // A file system without the flags of renameat2; rename(2) replaces nothing but an empty
  // directory.
  if (errno == EINVAL && !exists(platform_.get(), name) &&
      ::renameat(staging_.get(), id_.c_str(), platform_.get(), name.c_str()) == 0) {
    published_ = true;
    return false;
  }
  throw system_error("cannot publish " + destination_.string(), errno);
}

// The old install and the new one change places.
void InstallTransaction::exchange(const std::string& name) {
  if (::renameat2(staging_.get(), id_.c_str(), platform_.get(), name.c_str(), RENAME_EXCHANGE) ==
      0) {
    published_ = true;
    return;
  }
  const int error_number = errno;
  Error error = system_error("cannot replace " + destination_.string(), error_number);
  if (error_number == EINVAL) error.add_hint(std::string(kCannotExchange));
  throw error;
}

// The old install is in staging by now, and the exchange is durable.
void InstallTransaction::remove_replaced() {
  try {
    const Fd old(
        ::openat(staging_.get(), id_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (old && !try_lock_directory(old.get())) return;  // in use: a later prune removes it
    remove_tree_at(staging_.get(), id_, staging_path_ / id_);
  } catch (const Error&) {
    // The install succeeded; what is left of the old one is a later prune's.
  }
}

}  // namespace pyro
