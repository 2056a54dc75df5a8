// The commands there are.
#pragma once

#include <span>

#include "cli/command.h"

namespace pyro::cli {

extern const CommandEntry kListCommand;
extern const CommandEntry kInspectCommand;
extern const CommandEntry kPullCommand;
extern const CommandEntry kVerifyCommand;
extern const CommandEntry kAddCommand;
extern const CommandEntry kRemoveCommand;
extern const CommandEntry kPruneCommand;
extern const CommandEntry kDuCommand;
extern const CommandEntry kPrepareCommand;
extern const CommandEntry kRunCommand;
extern const CommandEntry kShellCommand;
extern const CommandEntry kDoctorCommand;
extern const CommandEntry kLoginCommand;
extern const CommandEntry kLogoutCommand;
extern const CommandEntry kCompletionCommand;

/// All of them, in the order that help lists them.
[[nodiscard]] std::span<const CommandEntry* const> all_commands() noexcept;

}  // namespace pyro::cli
