// docs/commands.md: a table of every command, option and variable.
#pragma once

#include <string>

namespace pyro::cli {

[[nodiscard]] std::string command_reference();

}  // namespace pyro::cli
