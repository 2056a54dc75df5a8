// Documents made from the descriptions that --help is made from.
#pragma once

#include <string>

#include "cli/description.h"

namespace pyro::cli {

/// "pyro-env-pull", "pyro-run": what the manual page of a command is called.
[[nodiscard]] std::string page_name(const CommandEntry& entry);

/// The manual page of a command, in the macros of man(7).
[[nodiscard]] std::string manual_page(const CommandDescription& command);

/// pyro(1): the commands, the options of all, variables, exit codes.
[[nodiscard]] std::string main_manual_page();

}  // namespace pyro::cli
