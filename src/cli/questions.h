// What a person is asked for, or a pipe brings instead: names and passwords.
#pragma once

#include <stop_token>
#include <string>

#include "cli/terminal.h"

namespace pyro::cli {

/// Shows `question` on `terminal` and reads a line from standard input, which must be a terminal;
/// a hidden one is not shown while it is typed. Without the line's end.
/// @throws Error(interrupted), with the terminal as it was; (usage) where nobody answers.
enum class Answer { shown, hidden };
[[nodiscard]] std::string ask(const Terminal& terminal, const std::string& question, Answer answer,
                              const std::stop_token& stop);

/// All of standard input, without one line end at its end: what `echo` and files add to a password.
/// @throws Error(usage) when it is longer than a password may be; (interrupted).
[[nodiscard]] std::string read_secret(const std::stop_token& stop);

}  // namespace pyro::cli
