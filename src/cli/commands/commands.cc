// The commands there are, in the order that help lists them.
#include "cli/commands/commands.h"

namespace pyro::cli {
namespace {

constexpr const CommandEntry* kCommands[] = {
    &kListCommand,   &kInspectCommand, &kPullCommand,  &kVerifyCommand,  &kAddCommand,
    &kRemoveCommand, &kPruneCommand,   &kDuCommand,    &kPrepareCommand, &kRunCommand,
    &kShellCommand,  &kDoctorCommand,  &kLoginCommand, &kLogoutCommand,  &kCompletionCommand,
};

}  // namespace

std::span<const CommandEntry* const> all_commands() noexcept {
  return kCommands;
}

}  // namespace pyro::cli
