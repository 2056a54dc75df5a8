// A directory tree of any depth: on a stack and with descriptors that do not grow with it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "pyro/error.h"

namespace pyro {

/// `name` in the open directory `directory`.
struct TreePlace {
  int directory;
  const std::string& name;
  const std::function<std::filesystem::path()>& path;  ///< For errors: it costs the depth.
};

/// What is done on the way through a tree.
struct TreeSteps {
  /// Before what is in it, where it is a directory. Whether to go into it.
  std::function<bool(const TreePlace& place)> visit;
  /// After what is in it.
  std::function<void(const TreePlace& place)> leave = {};
  /// Called for a directory that cannot be read, which is passed over; one that another process
  /// has removed is passed over without it.
  std::function<void(Error error)> failed = {};
};

/// Goes through `name` in `directory` and everything below it, in the order of names, never through
/// a symbolic link and never out of it. `path` is what errors call it.
/// @throws Error(filesystem) for a directory that was moved meanwhile, in a tree deeper than the
/// few levels that stay open; and what a step throws.
void walk_tree(int directory, const std::string& name, const std::filesystem::path& path,
               const TreeSteps& steps);

}  // namespace pyro
