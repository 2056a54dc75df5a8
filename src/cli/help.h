// What --help prints.
#pragma once

#include <span>
#include <string>

#include "cli/description.h"
#include "cli/terminal.h"

namespace pyro::cli {

/// `pyro` alone: what it is, the commands, where to start.
[[nodiscard]] std::string overview(std::span<const CommandEntry* const> commands,
                                   const Terminal& terminal);

/// `pyro --help`: the overview with global options, variables and exit codes.
[[nodiscard]] std::string full_help(std::span<const CommandEntry* const> commands,
                                    const Terminal& terminal);

/// `pyro env pull --help`
[[nodiscard]] std::string command_help(const CommandDescription& command, const Terminal& terminal);

}  // namespace pyro::cli
