// Users of the image: looked up in its files, without the libraries that a host would ask.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace pyro::guest {

struct User {
  std::string name;
  std::string home;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};
};

/// The user "NAME[:GROUP]", names or numbers, of /etc/passwd and /etc/group; root for an empty
/// text. A number needs no entry. Supplementary groups are those of a name without a group.
/// Nothing, with errno kNoSuchUser, when a name is not there.
[[nodiscard]] std::optional<User> find_user(const std::string& text);

/// Gives up root's rights for those of `user`, who owns the standard streams from then on: programs
/// open /dev/stdout. False, with errno, on failure.
[[nodiscard]] bool become_user(const User& user);

/// Makes `path` and what is missing above it. Failures show when it is used.
void make_directories(const std::string& path);

}  // namespace pyro::guest
