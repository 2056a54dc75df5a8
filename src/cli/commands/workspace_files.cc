// pyro workspace read, write, copy-in, copy-out: the files of a workspace.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"

namespace pyro::cli {
namespace {

class FileCommand : public Command {
 public:
  void declare(Arguments& arguments) override { progress_.declare(arguments); }

  int run(Context& context, const Words& operands) override {
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    Workspaces workspaces = workspaces_of(context);
    return copy(workspaces, operands, {.progress = view.get(), .stop = context.stop});
  }

 protected:
  virtual int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) = 0;

 private:
  ProgressArguments progress_;
};

class ReadCommand : public FileCommand {
  int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) override {
    workspaces.copy_out(operands[0], {{operands[1], "/dev/stdout"}}, call);
    return kDone;
  }
};

class WriteCommand : public FileCommand {
  int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) override {
    workspaces.copy_in(operands[0], {"/dev/stdin", operands[1]}, call);
    return kDone;
  }
};

class CopyInCommand : public FileCommand {
  int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) override {
    const std::string& text = operands[1];
    const std::size_t colon = text.rfind(':');
    const Copy copy{text.substr(0, colon), colon == text.npos ? "." : text.substr(colon + 1)};
    const std::size_t left_out = workspaces.copy_in(operands[0], copy, call);
    return left_out == 0 ? kDone : exit_code(ErrorCode::failed);
  }
};

class CopyOutCommand : public FileCommand {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--force", copy_.replaces_changed,
                   "Replace files that were changed on this host since\nthe workspace was made");
    arguments.flag("--include-git", copy_.includes_git, "Write .git, too, into a Git checkout");
    FileCommand::declare(arguments);
  }

 private:
  int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) override {
    copy_.from = operands[1];
    copy_.to = operands[2];
    const CopiedOut copied = workspaces.copy_out(operands[0], copy_, call);
    tell(call, "left out", copied.left_out, "--include-git writes .git, too");
    tell(call, "may run by itself", copied.may_run, "look at these before you go on");
    tell(call, "left alone", copied.left_alone, "");
    if (copied.left_alone.empty()) return kDone;
    throw Error(ErrorCode::failed,
                fmt::format("{} {} changed on this host since the workspace was made",
                            copied.left_alone.size(),
                            copied.left_alone.size() == 1 ? "file was" : "files were"),
                "--force replaces them");
  }

  static void tell(const WorkspaceCall& call, const char* what, const Words& paths,
                   const char* advice) {
    constexpr std::size_t kMostShown = 20;
    if (paths.empty()) return;
    for (std::size_t i = 0; i < std::min(paths.size(), kMostShown); ++i) {
      call.progress->warning(fmt::format("{}: {}", what, paths[i]));
    }
    if (paths.size() > kMostShown) {
      call.progress->warning(fmt::format("{}: {} more", what, paths.size() - kMostShown));
    }
    if (*advice != '\0') call.progress->warning(advice);
  }

  CopyOut copy_;
};

}  // namespace

constinit const CommandEntry kWorkspaceReadCommand{
    .group = "workspace",
    .name = "read",
    .operands = "WORKSPACE PATH",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Print a file of a workspace",
    .details = "A relative PATH is below /workspace.\n",
    .examples = "  pyro workspace read fix src/main.c\n",
    .make = make_command<ReadCommand>,
};

constinit const CommandEntry kWorkspaceWriteCommand{
    .group = "workspace",
    .name = "write",
    .operands = "WORKSPACE PATH",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Write standard input to a file of a workspace",
    .details = "A relative PATH is below /workspace. Directories that are missing are made.\n",
    .examples = "  echo hello | pyro workspace write fix greeting.txt\n",
    .make = make_command<WriteCommand>,
};

constinit const CommandEntry kWorkspaceCopyInCommand{
    .group = "workspace",
    .name = "copy-in",
    .operands = "WORKSPACE SRC[:DST]",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Copy a file or tree into a workspace",
    .details =
        "As with cp -r: if DST is a directory, the copy is made in it. A relative DST is below "
        "/workspace,\n"
        "where the copy goes without a DST.\n",
    .examples = "  pyro workspace copy-in fix tests:/workspace/tests\n",
    .make = make_command<CopyInCommand>,
    .alias = "sync push",
};

constinit const CommandEntry kWorkspaceCopyOutCommand{
    .group = "workspace",
    .name = "copy-out",
    .operands = "WORKSPACE PATH DST",
    .min_operands = 3,
    .max_operands = 3,
    .purpose = "Copy a file or tree out of a workspace",
    .details =
        "As with cp -r. A relative PATH is below /workspace. Nothing is written outside of DST, or "
        "through a link.\n"
        "In a Git checkout no .git is written, and files that may run by themselves (.envrc, "
        ".vscode, CI) are listed.\n"
        "In the directory that the workspace was made from, files that were changed there since "
        "are left alone.\n",
    .examples =
        "  pyro workspace copy-out fix build/app .\n"
        "  pyro workspace copy-out fix /workspace/. .\n",
    .make = make_command<CopyOutCommand>,
    .alias = "export",
};

}  // namespace pyro::cli
