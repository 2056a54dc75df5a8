// The layout of the cache.
#include "store/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/directories.h"
#include "base/files.h"
#include "catalog/names.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr mode_t kExcess = S_IWGRP | S_IWOTH;

std::string writers(mode_t mode) {
  return (mode & S_IWOTH) != 0 ? "everybody" : "its group";
}

}  // namespace

std::filesystem::path CacheLayout::installs_dir(EnvironmentKind kind) const {
  return root_ / (kind == EnvironmentKind::container ? "containers" : kPlatform);
}
std::filesystem::path CacheLayout::locks_dir() const {
  return root_ / "locks";
}
std::filesystem::path CacheLayout::staging_dir() const {
  return root_ / "staging";
}
std::filesystem::path CacheLayout::partial_dir() const {
  return root_ / "partial";
}
std::filesystem::path CacheLayout::prepared_dir() const {
  return root_ / "prepared";
}
std::string CacheLayout::prepared_name(const std::string& environment) {
  return file_name_of(environment);
}
std::filesystem::path CacheLayout::prepared_state_dir(const std::string& environment,
                                                      std::string_view state) const {
  return prepared_dir() / prepared_name(environment) / state;
}
std::string CacheLayout::prepare_lock_name(const std::string& environment) {
  return prepared_name(environment) + ".prepare.lock";
}
std::filesystem::path CacheLayout::used_dir() const {
  return root_ / "used";
}
std::filesystem::path CacheLayout::host_dir() const {
  return root_ / "host";
}
std::filesystem::path CacheLayout::kvm_record() const {
  return host_dir() / "kvm.json";
}

std::filesystem::path CacheLayout::install_dir(const Environment& environment) const {
  return installs_dir(environment.kind) / install_directory_name(environment);
}

std::string CacheLayout::lock_name(const std::string& install_directory_name) {
  return install_directory_name + ".lock";
}

void CacheLayout::check_root() const {
  if (opened_root_) return;
  Fd root(try_open(AT_FDCWD, root_.c_str(), O_RDONLY | O_DIRECTORY));
  if (!root && errno == ENOENT) return;
  if (!root && errno == EACCES && !rights_.mends()) return;  // not for the caller
  if (!root) {
    const int error_number = errno;
    std::error_code error;
    if (error_number != ENOTDIR || !std::filesystem::exists(root_, error)) {
      throw system_error("cannot open the cache " + root_.string(), error_number);
    }
    throw Error(ErrorCode::filesystem, "the cache " + root_.string() + " is not a directory",
                "choose another with --cache-dir");
  }
  rights_.guard(root.get(), root_);
  opened_root_ = std::move(root);
}

Fd CacheLayout::open(const std::filesystem::path& folder, int no_follow) const {
  check_root();
  if (!opened_root_) {
    errno = ENOENT;
    return {};
  }
  Fd at = try_open_directory(opened_root_.get(), ".");
  std::filesystem::path path = root_;
  for (const std::filesystem::path& part : folder.lexically_relative(root_)) {
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_follow;
    Fd next(try_open(at.get(), part.c_str(), flags));
    if (!next) return next;
    rights_.guard(next.get(), path /= part);
    at = std::move(next);
  }
  return at;
}

void CacheLayout::make_root() const {
  check_root();
  if (opened_root_) return;
  const std::filesystem::path root = (root_ / "").parent_path();
  const std::filesystem::path above = root.has_parent_path() ? root.parent_path() : ".";
  make_directories(above);
  if (::mkdir(root.c_str(), 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make the directory " + root.string(), errno);
  }
  sync_file(open_directory(above).get(), above);
  check_root();
  if (!opened_root_) throw system_error("cannot open the cache " + root_.string(), ENOENT);
}

Fd CacheLayout::make(const std::filesystem::path& folder, int no_follow) const {
  make_root();
  Fd at = open(root_);
  std::filesystem::path path = root_;
  for (const std::filesystem::path& part : folder.lexically_relative(root_)) {
    if (::mkdirat(at.get(), part.c_str(), 0755) == 0) {
      sync_file(at.get(), path);
    } else if (errno != EEXIST) {
      throw system_error("cannot make the directory " + (path / part).string(), errno);
    }
    path /= part;
    Fd next = open_at(at.get(), part, O_RDONLY | O_DIRECTORY | no_follow, 0, path);
    rights_.guard(next.get(), path);
    at = std::move(next);
  }
  return at;
}

void Rights::judge(const struct stat& status, const std::filesystem::path& path, Owner owner,
                   const std::function<int(mode_t)>& set_mode) const {
  const uid_t user = ::geteuid();
  const bool believed =
      status.st_uid == user || status.st_uid == 0 || (user == 0 && owner == Owner::any_for_root);
  if (!believed) {
    throw Error(
        ErrorCode::filesystem,
        path.string() + " belongs to another user (" + std::to_string(status.st_uid) + ")",
        "it must be yours or root's: choose another with --cache-dir or --store, or chown " +
            std::to_string(user) + " " + path.string());
  }
  if (!has_excess(status) || excess_ == Excess::tolerated) return;
  if (excess_ == Excess::taken_away && set_mode(status.st_mode & 07777 & ~kExcess) == 0) {
    warn(path.string() + " could be written by " + writers(status.st_mode) +
         ": that right is taken away");
    return;
  }
  throw Error(ErrorCode::filesystem,
              path.string() + " can be written by " + writers(status.st_mode),
              "take that right away: chmod go-w " + path.string());
}

void Rights::guard(int fd, const std::filesystem::path& path, Owner owner) const {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw system_error("cannot look at " + path.string(), errno);
  judge(status, path, owner, [fd](mode_t mode) { return ::fchmod(fd, mode); });
}

Fd Rights::open_file(int directory, const std::filesystem::path& path) const {
  const std::string name = path.filename().string();
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;
  Fd file(try_open(directory, name.c_str(), kFlags | O_NOFOLLOW));
  const bool is_link = !file && errno == ELOOP;
  if (!file) file = pyro::open_at(directory, name, kFlags, 0, path);
  guard(file.get(), path, is_link ? Owner::any_for_root : Owner::user_or_root);
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode)) return file;
  throw Error(ErrorCode::filesystem, path.string() + " is not a regular file");
}

void Rights::guard_at(int directory, const std::string& name,
                      const std::filesystem::path& path) const {
  struct stat entry {};
  struct stat target {};
  if (::fstatat(directory, name.c_str(), &entry, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fstatat(directory, name.c_str(), &target, 0) != 0) {
    return;
  }
  judge(target, path, S_ISLNK(entry.st_mode) ? Owner::any_for_root : Owner::user_or_root,
        [&](mode_t mode) { return ::fchmodat(directory, name.c_str(), mode, 0); });
}

}  // namespace pyro
