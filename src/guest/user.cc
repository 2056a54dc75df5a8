// Users of the image.
#include "guest/user.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "guest/protocol.h"
#include "guest/text.h"

namespace pyro::guest {
namespace {

std::optional<unsigned> number_in(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const bool is_last = line.find(':') == line.npos;
    fields.push_back(take_up_to(line, ':'));
    if (is_last) return fields;
  }
}

/// The first line of a file of colon-separated fields whose name, or else number, is `key`.
std::vector<std::string_view> find_line(std::string_view text, std::string_view key) {
  constexpr std::size_t kNumber = 2;
  const auto number = number_in(key);
  while (!text.empty()) {
    auto fields = fields_of(take_up_to(text, '\n'));
    if (fields.size() <= kNumber) continue;
    if (fields[0] == key || (number && number_in(fields[kNumber]) == number)) return fields;
  }
  return {};
}

/// NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL
bool look_up(std::string_view key, User& user) {
  constexpr std::size_t kUid = 2;
  constexpr std::size_t kGid = 3;
  constexpr std::size_t kHome = 5;
  const std::string passwd = read_file("/etc/passwd");
  const auto fields = find_line(passwd, key);
  const auto number = number_in(key);
  if (fields.size() <= kHome) {
    if (!number) return false;
    user = {.name = std::string(key), .home = "/", .uid = *number};
    return true;
  }
  user = {.name = std::string(fields[0]),
          .home = std::string(fields[kHome]),
          .uid = number_in(fields[kUid]).value_or(0),
          .gid = number_in(fields[kGid]).value_or(0)};
  if (user.home.empty()) user.home = "/";
  return number_in(fields[kUid]).has_value();
}

/// NAME:PASSWORD:GID:MEMBERS
std::optional<gid_t> find_group(std::string_view key) {
  const std::string groups = read_file("/etc/group");
  const auto fields = find_line(groups, key);
  return fields.empty() ? number_in(key) : number_in(fields[2]);
}

void add_groups(User& user) {
  constexpr std::size_t kMembers = 3;
  const std::string groups = read_file("/etc/group");
  for (std::string_view rest = groups; !rest.empty();) {
    const auto fields = fields_of(take_up_to(rest, '\n'));
    if (fields.size() <= kMembers) continue;
    for (std::string_view members = fields[kMembers]; !members.empty();) {
      const bool is_member = take_up_to(members, ',') == user.name;
      const auto gid = number_in(fields[2]);
      if (is_member && gid) user.groups.push_back(*gid);
    }
  }
}

}  // namespace

std::optional<User> find_user(const std::string& text) {
  if (text.empty()) return User{.name = "root", .home = "/root"};
  const auto not_there = [] {
    errno = kNoSuchUser;
    return std::nullopt;
  };
  std::string_view rest = text;
  const bool has_group = text.find(':') != text.npos;
  const std::string_view name = take_up_to(rest, ':');
  User user;
  if (!look_up(name.empty() ? "0" : name, user)) return not_there();
  if (!has_group) {
    if (!number_in(name)) add_groups(user);
    return user;
  }
  const auto group = find_group(rest);
  if (!group) return not_there();
  user.gid = *group;
  return user;
}

bool become_user(const User& user) {
  if (user.uid == 0 && user.gid == 0 && user.groups.empty()) return true;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    struct stat status {};
    const bool is_ours =
        ::fstat(stream, &status) == 0 && (S_ISFIFO(status.st_mode) || ::isatty(stream) == 1);
    if (is_ours) static_cast<void>(!::fchown(stream, user.uid, static_cast<gid_t>(-1)));
  }
  std::vector<gid_t> groups = user.groups;
  if (std::find(groups.begin(), groups.end(), user.gid) == groups.end()) {
    groups.push_back(user.gid);
  }
  return ::setgroups(groups.size(), groups.data()) == 0 && ::setgid(user.gid) == 0 &&
         ::setuid(user.uid) == 0;
}

void make_directories(const std::string& path) {
  for (std::size_t at = 1; at != path.npos && at < path.size();) {
    at = path.find('/', at);
    ::mkdir(path.substr(0, at).c_str(), 0755);
    if (at != path.npos) ++at;
  }
}

}  // namespace pyro::guest
