// pyro workspace diff: what was changed in a workspace since it was made.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/directories.h"
#include "base/subprocess.h"
#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

/// A directory for files, gone with this object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "pyro-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make " + name, errno);
    path_ = name;
  }
  ~TemporaryDirectory() {
    try {
      remove_tree_at(AT_FDCWD, path_, path_);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what is left is for the system.
    }
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

fs::path find_git(const Variables& variables) {
  fs::path program = find_program(variables("PATH").value_or("") + ":/usr/bin:/bin", "git");
  if (!program.empty()) return program;
  throw Error(ErrorCode::failed, "there is no git to compare files",
              "install it (apt install git)");
}

/// What `git diff` says of a/ and b/ in the directory, whatever this user's configuration is.
std::string difference(const Variables& variables, const fs::path& directory,
                       const Words& options) {
  const fs::path program = find_git(variables);
  Pipe pipe;
  Words arguments{"git",           "-C",           directory.string(), "diff",
                  "--no-index",    "--no-prefix",  "--no-renames",     "--no-color",
                  "--no-ext-diff", "--no-textconv"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), {"--", "a", "b"});
  Subprocess process({.program = program,
                      .arguments = arguments,
                      .variables = {"HOME=" + directory.string(), "GIT_CONFIG_NOSYSTEM=1",
                                    "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
                                    "GIT_CEILING_DIRECTORIES=" + directory.string()},
                      .descriptors = {-1, pipe.write.get(), STDERR_FILENO}},
                     "git");
  pipe.write.reset();
  std::string output;
  std::array<char, 64 << 10> piece;
  for (ssize_t got = 0; (got = uninterrupted([&] {
                           return ::read(pipe.read.get(), piece.data(), piece.size());
                         })) > 0;) {
    output.append(piece.data(), static_cast<std::size_t>(got));
  }
  const ProcessEnd end = process.wait();
  const bool is_compared = end.exit_code == 0 || end.exit_code == 1;
  if (is_compared && end.signal == 0) return output;
  throw Error(ErrorCode::failed, "git cannot compare the files");
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
    const std::string_view line = patch.substr(0, patch.find('\n'));
    patch.remove_prefix(std::min(line.size() + 1, patch.size()));
    result += (line.starts_with("diff --git ") ? with_both_sides(line) : std::string(line)) + '\n';
  }
  return result;
}

/// The next of `text` up to a zero byte, which is taken off.
std::string_view take_field(std::string_view& text) {
  const std::string_view field = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(field.size() + 1, text.size()));
  return field;
}

/// A line of `git diff --numstat -z`.
struct FileChange {
  std::string path = {};
  std::string added;  ///< Lines; "-" of a binary file.
  std::string removed;
};

std::vector<FileChange> changes_in(std::string_view numstat) {
  constexpr std::string_view kNowhere = "/dev/null";
  std::vector<FileChange> changes;
  while (!numstat.empty()) {
    const std::string_view counts = take_field(numstat);
    const std::size_t tab = counts.find('\t');
    FileChange change{.added = std::string(counts.substr(0, tab)),
                      .removed = std::string(counts.substr(tab + 1))};
    change.removed.resize(std::min(change.removed.find('\t'), change.removed.size()));
    // Two names follow: a/PATH and b/PATH, or that of an empty file.
    const std::string_view before = take_field(numstat);
    const std::string_view after = take_field(numstat);
    change.path = (after == kNowhere ? before : after).substr(2);
    changes.push_back(std::move(change));
  }
  return changes;
}

class DiffCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--patch", is_patch_, "Print a patch that 'git apply' takes (default)");
    arguments.flag("--stat", is_stat_, "Print the number of changed lines of each file");
    arguments.flag("--name-only", is_names_, "Print the names of the changed files");
    progress_.declare(arguments);
  }

  int run(Context& context, const Words& operands) override {
    if (is_patch_ + is_stat_ + is_names_ > 1) {
      throw Error(ErrorCode::usage, "'--patch', '--stat' and '--name-only' exclude each other");
    }
    const TemporaryDirectory directory;
    for (const char* const name : {"a", "b"}) fs::create_directory(directory.path() / name);
    {
      const auto view = progress_.make_view(context);
      const ClearAtEnd clear(view.get());
      workspaces_of(context).copy_changes(operands.front(), directory.path().string(),
                                          {operands.begin() + 1, operands.end()},
                                          {.progress = view.get(), .stop = context.stop});
    }
    context.out.write(is_stat_ || is_names_ ? list(context, directory.path())
                                            : with_usual_headers(difference(context.variables,
                                                                            directory.path(), {})));
    return kDone;
  }

 private:
  [[nodiscard]] std::string list(const Context& context, const fs::path& directory) const {
    const auto changes = changes_in(difference(context.variables, directory, {"--numstat", "-z"}));
    if (is_stat_) {
      Table table({{"FILE"}, {"ADDED", Table::Align::right}, {"REMOVED", Table::Align::right}});
      for (const FileChange& change : changes) {
        table.add({{change.path}, {change.added}, {change.removed}});
      }
      return changes.empty() ? "" : table.render(context.out);
    }
    std::string names;
    for (const FileChange& change : changes) names += printable(change.path) + '\n';
    return names;
  }

  bool is_patch_ = false;
  bool is_stat_ = false;
  bool is_names_ = false;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kWorkspaceDiffCommand{
    .group = "workspace",
    .name = "diff",
    .operands = "WORKSPACE [PATH...]",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Show what was changed in a workspace since it was made",
    .details =
        "Compares /workspace with what it began with, by git. A relative PATH is below /workspace. "
        "Binary files\n"
        "are named in one line; .git is left out.\n",
    .examples =
        "  pyro workspace diff fix\n"
        "  pyro workspace diff fix --stat src\n"
        "  pyro workspace diff fix | git apply\n",
    .make = make_command<DiffCommand>,
};

}  // namespace pyro::cli
