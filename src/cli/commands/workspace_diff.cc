// pyro workspace summary, diff, patch: what was changed in a workspace, and changes to it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/files.h"
#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "front/documents.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

Table table_of(const std::vector<FileChange>& files) {
  Table table({{"FILE"}, {"ADDED", Table::Align::right}, {"REMOVED", Table::Align::right}});
  for (const FileChange& file : files) {
    table.add({{file.path},
               {file.is_binary ? "-" : std::to_string(file.added)},
               {file.is_binary ? "-" : std::to_string(file.removed)}});
  }
  return table;
}

class DiffCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--against", "SNAPSHOT", options_.against,
                   "Compare with this snapshot (default baseline)");
    arguments.flag("--all", options_.whole_system,
                   "Compare the whole system, and not only /workspace");
    arguments.flag("--patch", is_patch_, "Print a patch that 'git apply' takes (default)");
    arguments.flag("--stat", is_stat_, "Print the number of changed lines of each file");
    arguments.flag("--name-only", is_names_, "Print the names of the changed files");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    if (is_patch_ + is_stat_ + is_names_ > 1) {
      throw Error(ErrorCode::usage, "'--patch', '--stat' and '--name-only' exclude each other");
    }
    options_.only_counts = is_stat_ || is_names_;
    options_.paths.assign(operands.begin() + 1, operands.end());
    WorkspaceDiff diff;
    {
      const auto view = progress_.make_view(context);
      const ClearAtEnd clear(view.get());
      diff = workspaces_of(context).diff(operands.front(), options_,
                                         {.progress = view.get(), .stop = context.stop});
    }
    context.out.write(json() ? render_json(diff_payload(diff)) : text_of(diff, context.out));
    return kDone;
  }

 private:
  [[nodiscard]] std::string text_of(const WorkspaceDiff& diff, const Terminal& terminal) const {
    if (is_names_) return names_of(diff.files);
    if (is_stat_) return diff.files.empty() ? "" : table_of(diff.files).render(terminal);
    return diff.patch;
  }

  static std::string names_of(const std::vector<FileChange>& files) {
    std::string names;
    for (const FileChange& file : files) names += printable(file.path) + '\n';
    return names;
  }

  DiffOptions options_;
  bool is_patch_ = false;
  bool is_stat_ = false;
  bool is_names_ = false;
  ProgressArguments progress_;
};

class PatchCommand : public Command {
 public:
  void declare(Arguments& arguments) override { progress_.declare(arguments); }

  int run(Context& context, const Words& operands) override {
    const std::string patch = read_standard_input();
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    const auto changed = workspaces_of(context).patch(
        operands.front(), patch, {.progress = view.get(), .stop = context.stop});
    for (const std::string& path : changed) context.out.write(printable(path) + '\n');
    return kDone;
  }

 private:
  static std::string read_standard_input() {
    constexpr std::size_t kMaxPatch = 256 << 20;
    std::string text;
    std::array<char, 64 << 10> piece;
    while (true) {
      const ssize_t got =
          uninterrupted([&] { return ::read(STDIN_FILENO, piece.data(), piece.size()); });
      if (got < 0) throw system_error("cannot read standard input", errno);
      if (got == 0) return text;
      text.append(piece.data(), static_cast<std::size_t>(got));
      if (text.size() > kMaxPatch)
        throw Error(ErrorCode::usage, "the patch is larger than 256 MiB");
    }
  }

  ProgressArguments progress_;
};

/// The overview of a workspace: its state, changed files, last processes.
class SummaryCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const std::string& name = operands.front();
    const Workspaces workspaces = workspaces_of(context);
    Summary summary;
    {
      const auto view = progress_.make_view(context);
      const ClearAtEnd clear(view.get());
      summary.files =
          workspaces
              .diff(name, {.only_counts = true}, {.progress = view.get(), .stop = context.stop})
              .files;
    }
    summary.status = workspaces.status(name);
    summary.snapshots = workspaces.snapshots(name);
    summary.processes = workspaces.processes(name);
    context.out.write(json() ? render_json(document_of(summary)) : text_of(summary, context.out));
    return kDone;
  }

 private:
  struct Summary {
    WorkspaceStatus status;
    std::vector<WorkspaceSnapshot> snapshots;
    std::vector<FileChange> files;
    std::vector<WorkspaceProcess> processes;
  };

  static Json document_of(const Summary& summary) {
    Json snapshots = Json::array();
    for (const auto& snapshot : summary.snapshots) snapshots.push_back(snapshot_payload(snapshot));
    Json processes = Json::array();
    for (const auto& process : summary.processes) processes.push_back(process_payload(process));
    return {{"workspace", workspace_payload(summary.status)},
            {"files", diff_payload({.files = summary.files})["files"]},
            {"processes", std::move(processes)},
            {"snapshots", std::move(snapshots)}};
  }

  static std::string text_of(const Summary& summary, const Terminal& terminal) {
    const WorkspaceStatus& status = summary.status;
    std::string snapshots;
    for (const WorkspaceSnapshot& snapshot : summary.snapshots) {
      snapshots += (snapshots.empty() ? "" : ", ") + snapshot.name;
    }
    std::string text = render_fields({{"Name", {status.name}},
                                      {"Environment", {status.environment + ' ' + status.version}},
                                      {"State", {std::string(to_string(status.activity))}},
                                      {"Snapshots", {snapshots}},
                                      {"Created", {format_age(status.created)}},
                                      {"Last used", {format_age(status.last_used)}}},
                                     terminal);
    text += '\n' + changes_of(summary, terminal);
    if (!summary.processes.empty()) {
      text += '\n' + process_table(last_of(summary.processes)).render(terminal);
    }
    return text;
  }

  static std::string changes_of(const Summary& summary, const Terminal& terminal) {
    if (summary.files.empty()) return "No file of /workspace differs from the baseline.\n";
    return table_of(summary.files).render(terminal);
  }

  static std::vector<WorkspaceProcess> last_of(const std::vector<WorkspaceProcess>& processes) {
    constexpr std::size_t kMostShown = 10;
    const std::size_t shown = std::min(processes.size(), kMostShown);
    return {processes.end() - static_cast<std::ptrdiff_t>(shown), processes.end()};
  }

  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kWorkspaceSummaryCommand{
    .group = "workspace",
    .name = "summary",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Show what was done in a workspace: changed files, processes, snapshots",
    .details = "A suspended workspace is resumed to compare its files.\n",
    .examples =
        "  pyro workspace summary fix\n"
        "  pyro workspace summary fix --json | jq -r '.files[].path'\n",
    .make = make_command<SummaryCommand>,
};

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
        "are named in one line; .git is left out. With --all, names begin at /, and what pyro "
        "writes at each start\n"
        "is left out.\n",
    .examples =
        "  pyro workspace diff fix\n"
        "  pyro workspace diff fix --stat src\n"
        "  pyro workspace diff fix --against s1\n"
        "  pyro workspace diff fix | git apply\n",
    .make = make_command<DiffCommand>,
};

constinit const CommandEntry kWorkspacePatchCommand{
    .group = "workspace",
    .name = "patch",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Apply a patch from standard input to the files of a workspace",
    .details =
        "All of it, or nothing: if a hunk does not apply, pyro names the first one. Paths of the "
        "patch are below\n"
        "/workspace. Prints the names of the changed files.\n",
    .examples =
        "  git diff | pyro workspace patch fix\n"
        "  pyro workspace diff attempt-1 | pyro workspace patch attempt-2\n",
    .make = make_command<PatchCommand>,
};

}  // namespace pyro::cli
