// The names of an archive's members.
#include "stream/member_path.h"

#include <algorithm>
#include <cstddef>

#include "pyro/error.h"

namespace pyro {

std::string_view take_component(std::string_view& path) {
  const std::size_t slash = path.find('/');
  const std::string_view component = path.substr(0, slash);
  path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  return component;
}

std::string joined(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  return path += name;
}

std::string in_quotes(std::string_view name) {
  constexpr std::size_t kMostShown = 400;
  if (name.size() <= kMostShown) return "'" + std::string(name) + "'";
  return "'" + std::string(name.substr(0, kMostShown)) + "...'";
}

std::string normal_member_path(std::string_view name) {
  if (name.starts_with('/')) {
    throw Error(ErrorCode::integrity, "member " + in_quotes(name) + " has an absolute name");
  }
  std::string normal;
  for (std::string_view rest = name; !rest.empty();) {
    const std::string_view component = take_component(rest);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      throw Error(ErrorCode::integrity, "member " + in_quotes(name) + " has '..' in its name");
    }
    if (!normal.empty()) normal += '/';
    normal += component;
  }
  return normal;
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view base_name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return !path.empty();
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

std::size_t depth_of(std::string_view path) {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

}  // namespace pyro
