// Who may write what is used of a cache.
#include "store/rights.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace pyro {
namespace {

constexpr mode_t kExcess = S_IWGRP | S_IWOTH;

std::string writers(mode_t mode) {
  return (mode & S_IWOTH) != 0 ? "everybody" : "its group";
}

}  // namespace

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
