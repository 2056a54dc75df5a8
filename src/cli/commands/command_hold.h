// What commands that run something in a guest take from the terminal and the shell.
#pragma once

#include <unistd.h>

#include <memory>
#include <optional>

#include "cli/arguments.h"
#include "cli/signals.h"
#include "cli/terminal.h"

namespace pyro::cli {

/// The signals and keys that are the command's while it runs.
struct CommandHold {
  SignalRelay::Hold signals;
  std::optional<RawTerminal> terminal;
};

[[nodiscard]] inline std::shared_ptr<CommandHold> hold_for_command(bool with_terminal) {
  auto held = std::make_shared<CommandHold>();
  if (with_terminal) held->terminal.emplace(STDIN_FILENO);
  return held;
}

/// The best shell that is there, as a login shell.
[[nodiscard]] inline Words shell_of_guest() {
  return {"/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l"};
}

}  // namespace pyro::cli
