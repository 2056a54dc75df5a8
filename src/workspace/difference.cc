// Differences of trees of files, and patches, by git.
#include "workspace/difference.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "base/text.h"
#include "pyro/error.h"
#include "workspace/git.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::string diff_output(const fs::path& directory, const std::vector<std::string>& options,
                        const std::stop_token& stop) {
  std::vector<std::string> arguments{"diff",       "--no-index",    "--no-prefix",  "--no-renames",
                                     "--no-color", "--no-ext-diff", "--no-textconv"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), {"--", "a", "b"});
  GitResult result = run_git(directory, GitPlace::plain_directory, arguments, stop);
  if (result.exit_code == 0 || result.exit_code == 1) return std::move(result.output);
  throw Error(ErrorCode::failed, "git cannot compare the files: " + result.reason());
}

/// The line "diff --git a/P b/P" for a file that is new, or was removed: of these git names one
/// side twice. Names in quotes stay as they are.
std::string with_both_sides(std::string_view line) {
  constexpr std::string_view kHeader = "diff --git ";
  std::string result(line);
  const std::string_view names = line.substr(kHeader.size());
  const std::size_t half = names.size() / 2;
  const bool is_one_twice = names.size() % 2 == 1 && names[half] == ' ' &&
                            !names.starts_with('"') &&
                            names.substr(0, half) == names.substr(half + 1);
  if (!is_one_twice) return result;
  result[kHeader.size()] = 'a';
  result[kHeader.size() + half + 1] = 'b';
  return result;
}

// No line of a file begins like a header: each has a mark in front.
std::string with_usual_headers(std::string_view patch) {
  std::string result;
  while (!patch.empty()) {
    const std::string_view line = take_field(patch, '\n');
    result += (line.starts_with("diff --git ") ? with_both_sides(line) : std::string(line)) + '\n';
  }
  return result;
}

/// The next line of `git diff --numstat -z` up to its names: "1\t2\t", of a binary file "-\t-\t".
/// A single name follows at once.
FileChange take_counts(std::string_view& numstat) {
  std::string_view field = take_field(numstat, '\0');
  const auto take_number = [&field](std::uint64_t& number) {
    const auto found = number_in<std::uint64_t>(take_field(field, '\t'));
    number = found.value_or(0);
    return found.has_value();
  };
  FileChange change;
  const bool has_added = take_number(change.added);
  const bool has_removed = take_number(change.removed);
  change.is_binary = !has_added || !has_removed;
  change.path = field;
  return change;
}

std::vector<FileChange> changes_in(std::string_view numstat) {
  constexpr std::string_view kNowhere = "/dev/null";
  std::vector<FileChange> changes;
  while (!numstat.empty()) {
    FileChange change = take_counts(numstat);
    // Two names follow: a/PATH and b/PATH, or that of an empty file.
    const std::string_view before = take_field(numstat, '\0');
    const std::string_view after = take_field(numstat, '\0');
    change.path = (after == kNowhere ? before : after).substr(2);
    changes.push_back(std::move(change));
  }
  return changes;
}

/// The files and links below a directory.
std::set<std::string> files_below(const fs::path& directory) {
  std::set<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_symlink() || !entry.is_directory()) {
      found.insert(entry.path().lexically_relative(directory));
    }
  }
  return found;
}

/// Files that differ from those of an origin.
struct ChangedTree {
  explicit ChangedTree(const fs::path& directory)
      : path(directory),
        before(files_below(directory / "a")),
        after(files_below(directory / "b")) {}

  [[nodiscard]] bool has_changed(const std::string& file) const {
    return before.contains(file) || after.contains(file);
  }

  fs::path path;
  std::set<std::string> before;
  std::set<std::string> after;
};

void link_file(const fs::path& from, const fs::path& to) {
  fs::create_directories(to.parent_path());
  // Neither of them is written any more.
  if (fs::is_symlink(from)) return fs::copy_symlink(from, to);
  fs::create_hard_link(from, to);
}

/// The file of a tree whose changes are `own`, if it has it; `other` knows the origin of files that
/// the tree has not changed.
void link_version(const std::string& file, const ChangedTree& own, const ChangedTree& other,
                  const fs::path& to) {
  if (own.after.contains(file)) return link_file(own.path / "b" / file, to / file);
  if (!own.has_changed(file) && other.before.contains(file)) {
    link_file(other.path / "a" / file, to / file);
  }
}

void require_path_in_tree(const std::string& path) {
  for (const fs::path& part : fs::path(path)) {
    if (part != ".." && part != "." && part != ".git" && part != "/") continue;
    throw Error(ErrorCode::usage, "the patch changes " + in_quotes(path),
                "a patch of a workspace changes files below /workspace, and not those of .git");
  }
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::error_code error;
  const fs::path above = fs::temp_directory_path(error);
  std::string name = ((error ? fs::path("/tmp") : above) / "pyro-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make " + name, errno);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  try {
    remove_tree_at(AT_FDCWD, path_, path_);
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what is left is for the system.
  }
}

fs::path TemporaryDirectory::make(const std::string& name) const {
  fs::path made = path_ / name;
  make_directories(made, 0700);
  return made;
}

WorkspaceDiff compare_trees(const fs::path& directory, bool only_counts,
                            const std::stop_token& stop) {
  return {.patch = only_counts ? "" : with_usual_headers(diff_output(directory, {}, stop)),
          .files = changes_in(diff_output(directory, {"--numstat", "-z"}, stop))};
}

void join_changes(const fs::path& old_changes, const fs::path& new_changes,
                  const fs::path& directory) try {
  const ChangedTree old_tree(old_changes);
  const ChangedTree new_tree(new_changes);
  std::set<std::string> files;
  for (const auto* const some :
       {&old_tree.before, &old_tree.after, &new_tree.before, &new_tree.after}) {
    files.insert(some->begin(), some->end());
  }
  for (const std::string& file : files) {
    link_version(file, old_tree, new_tree, directory / "a");
    link_version(file, new_tree, old_tree, directory / "b");
  }
} catch (const fs::filesystem_error& error) {
  throw system_error("cannot compare the files", error.code().value());
}

Patch read_patch(std::string_view text, const fs::path& directory, const std::stop_token& stop) {
  Patch patch{.file = directory / "patch", .paths = {}};
  const Fd file = open_at(AT_FDCWD, patch.file, O_WRONLY | O_CREAT | O_EXCL, 0600, patch.file);
  write_all(file.get(), text, patch.file);
  std::set<std::string> paths;
  // Of a renamed file it names the new one, and backwards the old one.
  for (const bool is_backwards : {false, true}) {
    std::vector<std::string> arguments{"apply", "--numstat", "-z"};
    if (is_backwards) arguments.emplace_back("--reverse");
    arguments.push_back(patch.file.string());
    const GitResult result = run_git(directory, GitPlace::plain_directory, arguments, stop);
    if (result.exit_code != 0) {
      throw Error(ErrorCode::usage, "this is no patch: " + result.reason());
    }
    for (std::string_view rest = result.output; !rest.empty();) {
      paths.insert(take_counts(rest).path);
    }
  }
  std::ranges::for_each(paths, require_path_in_tree);
  patch.paths.assign(paths.begin(), paths.end());
  return patch;
}

void apply_patch(const Patch& patch, const fs::path& tree, const std::stop_token& stop) {
  const GitResult result = run_git(tree, GitPlace::plain_directory,
                                   {"apply", "--whitespace=nowarn", patch.file.string()}, stop);
  if (result.exit_code == 0) return;
  throw Error(ErrorCode::failed, "the patch does not apply: " + result.reason(),
              "nothing was changed");
}

}  // namespace pyro
