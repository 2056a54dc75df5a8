// pyro workspace read, write, copy-in, copy-out: the files of a workspace.
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
    workspaces.copy_out(operands[0], {operands[1], "/dev/stdout"}, call);
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
  int copy(Workspaces& workspaces, const Words& operands, const WorkspaceCall& call) override {
    workspaces.copy_out(operands[0], {operands[1], operands[2]}, call);
    return kDone;
  }
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
};

constinit const CommandEntry kWorkspaceCopyOutCommand{
    .group = "workspace",
    .name = "copy-out",
    .operands = "WORKSPACE PATH DST",
    .min_operands = 3,
    .max_operands = 3,
    .purpose = "Copy a file or tree out of a workspace",
    .details = "As with cp -r. A relative PATH is below /workspace.\n",
    .examples = "  pyro workspace copy-out fix build/app .\n",
    .make = make_command<CopyOutCommand>,
    .alias = "export",
};

}  // namespace pyro::cli
