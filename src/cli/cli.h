// The command line: finds the command, runs it, turns what it throws into text and an exit code.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace pyro::cli {

/// Runs pyro with `words`, the command line without the program's name. Never throws.
[[nodiscard]] int run(const std::vector<std::string>& words, const Variables& variables,
                      const Terminal& out, const Terminal& err) noexcept;

}  // namespace pyro::cli
