// pyro workspace snapshot, snapshots, snapshot-delete, reset, fork, commit, suspend, stop: what a
// workspace was, and where its machine goes on.
#include <string>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/image_names.h"
#include "cli/progress.h"
#include "front/documents.h"
#include "front/text.h"

namespace pyro::cli {

namespace {

class SnapshotCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const TakenSnapshot taken = workspaces_of(context).snapshot(
        operands[0], operands.size() > 1 ? operands[1] : "", {.stop = context.stop});
    context.out.write(json() ? render_json(snapshot_payload(taken)) : taken.name + '\n');
    return kDone;
  }
};

class SnapshotsCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const auto snapshots = workspaces_of(context).snapshots(operands.front());
    if (json()) {
      Json list = Json::array();
      for (const WorkspaceSnapshot& one : snapshots) list.push_back(snapshot_payload(one));
      context.out.write(render_json({{"snapshots", std::move(list)}}));
      return kDone;
    }
    Table table({{"NAME"}, {"MADE"}, {"MACHINE"}, {"DISK", Table::Align::right}});
    for (const WorkspaceSnapshot& one : snapshots) {
      table.add({{one.name},
                 {format_age(one.made)},
                 {one.has_memory ? "goes on" : "starts"},
                 {format_size(one.disk_bytes)}});
    }
    context.out.write(table.render(context.out));
    return kDone;
  }
};

class SnapshotDeleteCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).remove_snapshots(operands.front(),
                                            {operands.begin() + 1, operands.end()});
    return kDone;
  }
};

class ResetCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--to", "SNAPSHOT", to_, "Go back to this one (default baseline)");
  }

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).reset(operands.front(), to_, {.stop = context.stop});
    return kDone;
  }

 private:
  std::string to_ = "baseline";
};

class ForkCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    Workspaces workspaces = workspaces_of(context);
    const auto [name, snapshot] = split_snapshot(operands.front());
    const std::string made =
        operands.size() > 1 ? operands[1] : free_workspace_name(workspaces, name);
    workspaces.fork(name, snapshot, made, {.stop = context.stop});
    context.out.write(made + '\n');
    return kDone;
  }
};

class CommitCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--force", environment_.replace,
                   "Replace an earlier entry of this name, or hide a\nbuilt-in one");
    progress_.declare(arguments);
  }

  int run(Context& context, const Words& operands) override {
    environment_.name = operands[1];
    environment_.description = "The workspace " + operands[0] + '.';
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    const Environment made =
        workspaces_of(context).commit(operands[0], environment_, user_catalog_of(context),
                                      {.progress = view.get(), .stop = context.stop});
    context.out.write(made.name + '\n');
    return kDone;
  }

 private:
  NewEnvironment environment_;
  ProgressArguments progress_;
};

class SuspendCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).suspend(operands.front(), {.stop = context.stop});
    return kDone;
  }
};

class StopCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).stop(operands.front(), {.stop = context.stop});
    return kDone;
  }
};

}  // namespace

std::pair<std::string, std::string> split_snapshot(const std::string& text) {
  const std::size_t at = text.find('@');
  if (at == std::string::npos) return {text, ""};
  if (at + 1 == text.size()) throw Error(ErrorCode::usage, "there is no snapshot behind '@'");
  return {text.substr(0, at), text.substr(at + 1)};
}

constinit const CommandEntry kWorkspaceSnapshotCommand{
    .group = "workspace",
    .name = "snapshot",
    .operands = "WORKSPACE [SNAPSHOT]",
    .min_operands = 1,
    .max_operands = 2,
    .purpose = "Keep what a workspace is now, with its running processes",
    .details =
        "Prints the name of the snapshot; without SNAPSHOT it is s1, s2 and so on. The machine "
        "stands still while\n"
        "its memory and its disk are copied, and goes on. A snapshot does not change any more.\n",
    .examples =
        "  pyro workspace snapshot fix\n"
        "  pyro workspace snapshot fix before-upgrade\n",
    .make = make_command<SnapshotCommand>,
};

constinit const CommandEntry kWorkspaceSnapshotsCommand{
    .group = "workspace",
    .name = "snapshots",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Show the snapshots of a workspace",
    .details =
        "MACHINE: whether the machine goes on with its processes, or starts from the "
        "disk. DISK is the\n"
        "disk space of each; what snapshots share counts for each of them.\n",
    .examples = "  pyro workspace snapshots fix\n",
    .make = make_command<SnapshotsCommand>,
};

constinit const CommandEntry kWorkspaceSnapshotDeleteCommand{
    .group = "workspace",
    .name = "snapshot-delete",
    .operands = "WORKSPACE SNAPSHOT...",
    .min_operands = 2,
    .max_operands = kAnyNumber,
    .purpose = "Delete snapshots of a workspace",
    .details = "All of them or, if one does not exist, none. The baseline stays.\n",
    .examples = "  pyro workspace snapshot-delete fix s1 s2\n",
    .make = make_command<SnapshotDeleteCommand>,
};

constinit const CommandEntry kWorkspaceResetCommand{
    .group = "workspace",
    .name = "reset",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Go back to how a workspace was made, or to a snapshot",
    .details =
        "The whole machine: files, programs that were installed, processes. Commands that run "
        "end.\n"
        "What was there is kept as the snapshot before-reset, until the next reset.\n",
    .examples =
        "  pyro workspace reset fix\n"
        "  pyro workspace reset fix --to before-reset\n",
    .make = make_command<ResetCommand>,
};

constinit const CommandEntry kWorkspaceForkCommand{
    .group = "workspace",
    .name = "fork",
    .operands = "WORKSPACE[@SNAPSHOT] [NEW]",
    .min_operands = 1,
    .max_operands = 2,
    .purpose = "Make a second workspace of one, also while it runs",
    .details =
        "Of what it is now, with its running processes, or of a snapshot. Prints the name. The two "
        "have nothing in\n"
        "common from then on: either may be deleted.\n",
    .examples =
        "  pyro workspace fork fix attempt-1\n"
        "  pyro workspace fork fix@s1 attempt-2\n",
    .make = make_command<ForkCommand>,
};

constinit const CommandEntry kWorkspaceCommitCommand{
    .group = "workspace",
    .name = "commit",
    .operands = "WORKSPACE ENVIRONMENT",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Make an environment of a workspace",
    .details =
        "Of the whole system as it is now, with the files in /workspace. It boots the kernel of "
        "the "
        "workspace, and has\n"
        "the configuration of its image. 'pyro run', 'prepare' and 'env export' take it as any "
        "other. In a workspace\n"
        "that is made of it, /workspace begins empty, or with what --from says.\n",
    .examples =
        "  pyro workspace commit fix tools:1\n"
        "  pyro run tools:1 -- make --version\n",
    .make = make_command<CommitCommand>,
};

constinit const CommandEntry kWorkspaceSuspendCommand{
    .group = "workspace",
    .name = "suspend",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Save the machine of a workspace to disk, with its processes",
    .details =
        "A suspended workspace takes no memory and no processor. The next command resumes it, also "
        "after a\n"
        "restart of this host. A workspace that is idle for the time of 'create --idle' is "
        "suspended "
        "by itself.\n",
    .examples = "  pyro workspace suspend fix\n",
    .make = make_command<SuspendCommand>,
};

constinit const CommandEntry kWorkspaceStopCommand{
    .group = "workspace",
    .name = "stop",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "End the processes and the machine of a workspace",
    .details = "What was written stays; the next command starts the machine again.\n",
    .examples = "  pyro workspace stop fix\n",
    .make = make_command<StopCommand>,
};

}  // namespace pyro::cli
