// What can be told of the commands without running one: the common source of help, completion,
// manual pages and the documentation's table.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace pyro::cli {

using Rows = std::span<const Arguments::Row>;

struct CommandDescription {
  const CommandEntry& entry;
  std::vector<Arguments::Row> options;  ///< Its own, without those of every command.
};

[[nodiscard]] CommandDescription describe(const CommandEntry& entry);

/// One of a command's operands, as help calls it.
struct Operand {
  std::string what;  ///< "NAME" of "[NAME...]"; "bash|zsh|fish" where words are chosen from.
  bool repeated = false;
};

/// Those before a "--".
[[nodiscard]] std::vector<Operand> operands_of(const CommandEntry& entry);

/// The options of every command.
[[nodiscard]] std::vector<Arguments::Row> global_options();

/// A key and what it means.
using Meaning = std::pair<const char*, const char*>;

[[nodiscard]] std::span<const Meaning> environment_variables() noexcept;
[[nodiscard]] std::span<const Meaning> exit_codes() noexcept;

}  // namespace pyro::cli
