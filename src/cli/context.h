// What a command works with: global options and environment variables, and the terminal.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/settings.h"
#include "cli/terminal.h"
#include "pyro/environment_store.h"

namespace pyro::cli {

void declare(Arguments& arguments, GlobalOptions& options);

struct Context {
  StoreOptions store;
  std::stop_token stop;
  Terminal out;
  Terminal err;
  int verbosity = 0;  ///< How often -v was given.
  Variables variables = {};
  /// What stood behind "--", for a command that is to run in a guest; nothing without a "--".
  std::optional<std::vector<std::string>> guest_command = {};
};

/// Standard output and standard error. TERM=dumb cannot redraw, NO_COLOR is obeyed.
[[nodiscard]] Terminal standard_terminal(int fd, const Variables& variables);

}  // namespace pyro::cli
