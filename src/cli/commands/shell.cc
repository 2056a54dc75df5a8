// pyro shell: somebody at a terminal in a machine of its own.
#include "cli/commands/commands.h"
#include "cli/commands/run.h"

namespace pyro::cli {
namespace {

class ShellCommand : public RunCommand {
 public:
  ShellCommand() {
    interactive_ = true;
    options_.terminal = true;
  }

 protected:
  void declare_streams(Arguments&) override {}

  // The best that is there, as a login shell.
  [[nodiscard]] std::vector<std::string> command_of(const Context& context) const override {
    if (context.guest_command) {
      throw Error(ErrorCode::usage, "a shell takes no command", "see 'pyro run'");
    }
    return {"/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l"};
  }
};

}  // namespace

constinit const CommandEntry kShellCommand{
    .group = "",
    .name = "shell",
    .operands = "NAME",
    .least_operands = 1,
    .most_operands = 1,
    .purpose = "Open a shell in a machine of its own, which is thrown away",
    .details = "As 'pyro run -it NAME' with the guest's bash or sh.\n",
    .examples =
        "  pyro shell debian:12\n"
        "  pyro shell debian:12 --network user --memory 2048\n",
    .make = make_command<ShellCommand>,
    .guest_command_failure = RunCommand::kFailed,
};

}  // namespace pyro::cli
