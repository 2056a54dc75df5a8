// Common parts of the commands about workspaces.
#pragma once

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "pyro/workspace.h"

namespace pyro::cli {

/// The user's workspaces, with the settings of the context.
[[nodiscard]] Workspaces workspaces_of(const Context& context);

/// The process of that number in an operand.
/// @throws Error(usage)
[[nodiscard]] unsigned parse_process(const std::string& text);

}  // namespace pyro::cli
