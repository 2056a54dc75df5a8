// A question to whoever sits at the terminal.
#pragma once

#include <stop_token>
#include <string>

#include "cli/terminal.h"

namespace pyro::cli {

/// Whether there is somebody to ask: standard input and `terminal` are terminals.
[[nodiscard]] bool can_ask(const Terminal& terminal) noexcept;

/// "QUESTION [y/N] ", and whether the answer was yes.
/// @throws Error(interrupted)
[[nodiscard]] bool confirm(const std::string& question, const Terminal& terminal,
                           const std::stop_token& stop);

}  // namespace pyro::cli
