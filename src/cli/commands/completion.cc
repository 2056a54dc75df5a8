// pyro completion: what makes a shell complete pyro's words.
#include "cli/completion.h"

#include "cli/commands/commands.h"
#include "cli/exit_code.h"
#include "cli/json_output.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

class CompletionCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const std::vector<std::string>& operands) override {
    const auto script = completion_script(operands.front());
    if (!script) {
      throw Error(ErrorCode::usage,
                  "'" + operands.front() + "' is not one of the shells: bash, zsh, fish");
    }
    context.out.write(std::string(*script));
    return kDone;
  }
};

}  // namespace

constinit const CommandEntry kCompletionCommand{
    .group = "",
    .name = "completion",
    .operands = "bash|zsh|fish",
    .least_operands = 1,
    .most_operands = 1,
    .purpose = "Print what makes a shell complete pyro's words",
    .details =
        "Commands, options, their values, and the names of the environments there are at that\n"
        "moment. The package puts the scripts where the shells find them by themselves.\n",
    .examples =
        "  source <(pyro completion bash)                        # in ~/.bashrc\n"
        "  source <(pyro completion zsh)                         # in ~/.zshrc, after compinit\n"
        "  pyro completion fish > ~/.config/fish/completions/pyro.fish\n",
    .make = make_command<CompletionCommand>,
};

}  // namespace pyro::cli
