// Differences of trees of files, and patches, by git.
//
// Sources: https://git-scm.com/docs/git-diff, https://git-scm.com/docs/git-apply
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/workspace.h"

namespace pyro {

/// A directory for files of the user alone, gone with this object.
class TemporaryDirectory {
 public:
  /// @throws Error(filesystem)
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Makes a directory in it.
  [[nodiscard]] std::filesystem::path make(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

/// The difference of the trees a and b in a directory. `only_counts`: without the patch.
/// @throws Error(failed), (interrupted)
[[nodiscard]] WorkspaceDiff compare_trees(const std::filesystem::path& directory, bool only_counts,
                                          const std::stop_token& stop);

/// What differs in two trees of one origin. Each of the directories `old_changes` and `new_changes`
/// has the files that differ from the origin: a of the origin, and b of the tree. Makes a and b in
/// `directory`, which are the files of the two trees that may differ.
/// @throws Error(filesystem)
void join_changes(const std::filesystem::path& old_changes,
                  const std::filesystem::path& new_changes, const std::filesystem::path& directory);

/// A patch that has been read.
struct Patch {
  std::filesystem::path file;
  /// The files that it changes, makes or removes.
  std::vector<std::string> paths;
};

/// Reads a patch, and keeps it in `directory`.
/// @throws Error(usage) for a text that is no patch, or changes files outside of its tree
[[nodiscard]] Patch read_patch(std::string_view text, const std::filesystem::path& directory,
                               const std::stop_token& stop);

/// Applies it to the files in `tree`: all of it, or nothing.
/// @throws Error(failed) naming the first hunk that does not apply
void apply_patch(const Patch& patch, const std::filesystem::path& tree,
                 const std::stop_token& stop);

}  // namespace pyro
