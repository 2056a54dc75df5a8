// How a failure is told to a person.
#pragma once

#include <string>
#include <string_view>

#include "cli/terminal.h"
#include "pyro/error.h"

namespace pyro::cli {

/// "pyro: error: <what failed>", one line for each cause, one for the hint. Nothing in it can act
/// on a terminal.
[[nodiscard]] std::string render_error(const Error& error, const Terminal& terminal);

/// "pyro: warning: <text>"
[[nodiscard]] std::string render_warning(std::string_view text, const Terminal& terminal);

/// "pyro: <text>"
[[nodiscard]] std::string render_note(std::string_view text);

}  // namespace pyro::cli
