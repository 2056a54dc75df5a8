// A file in the making.
#include "base/new_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/whole_calls.h"

namespace pyro {
namespace {

constexpr mode_t kPermissions = 0777;

/// A new name each time, without the file's own name in it, which may be as long as names get.
std::string make_temporary_name() {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) {
    throw system_error("cannot get random bytes", errno);
  }
  return ".pyro-" + std::to_string(random) + ".partial";
}

}  // namespace

NewFile::NewFile(Fd directory, std::string name, mode_t mode, std::string shown)
    : directory_(std::move(directory)), name_(std::move(name)), shown_(std::move(shown)) {
  // An error must come before the content, not after it.
  require_replaceable();
  if (open_without_name(mode)) return;
  temporary_name_ = make_temporary_name();
  file_ = open_at(directory_.get(), temporary_name_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode,
                  shown_);
}

NewFile::~NewFile() {
  if (file_ && !temporary_name_.empty()) ::unlinkat(directory_.get(), temporary_name_.c_str(), 0);
}

void NewFile::fail(int error_number) const {
  throw system_error("cannot write " + shown_, error_number);
}

void NewFile::require_replaceable() const {
  struct stat there {};
  if (name_.empty()) fail(EISDIR);
  if (::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    fail(errno);
  }
  if (S_ISDIR(there.st_mode)) fail(EISDIR);
  if (S_ISREG(there.st_mode) || S_ISLNK(there.st_mode)) return;
  Error error(ErrorCode::filesystem, "it is a device, pipe or socket, which no file replaces");
  throw error.add_context("cannot write " + shown_);
}

// Not every file system can, and the name is given through /proc.
bool NewFile::open_without_name(mode_t mode) {
  if (::access("/proc/self/fd", X_OK) != 0) return false;
  file_ = Fd(try_open(directory_.get(), ".", O_TMPFILE | O_RDWR, mode));
  return static_cast<bool>(file_);
}

void NewFile::take_over_permissions() {
  struct stat there {};
  if (::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(there.st_mode)) {
    ::fchmod(file_.get(), there.st_mode & kPermissions);
  }
}

void NewFile::take_over_owner() {
  struct stat there {};
  if (::geteuid() == 0 &&
      ::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      ::fchown(file_.get(), there.st_uid, there.st_gid) != 0) {
    throw system_error("cannot give " + shown_ + " back to its owner", errno);
  }
}

bool NewFile::give_name(const std::string& name) {
  const std::string open = "/proc/self/fd/" + std::to_string(file_.get());
  return ::linkat(AT_FDCWD, open.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

void NewFile::commit() {
  require_replaceable();
  if (temporary_name_.empty()) {
    if (give_name(name_)) return;
    if (errno != EEXIST) fail(errno);
    std::string between = make_temporary_name();
    if (!give_name(between)) fail(errno);
    temporary_name_ = std::move(between);
  }
  if (::renameat(directory_.get(), temporary_name_.c_str(), directory_.get(), name_.c_str()) != 0) {
    fail(errno);
  }
  temporary_name_.clear();
}

}  // namespace pyro
