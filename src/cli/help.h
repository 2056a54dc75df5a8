// Descriptions of the commands: the source of --help, completion, manual pages and
// docs/commands.md.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace pyro::cli {

using Rows = std::span<const Arguments::Row>;

/// The options of one command, without those of every command.
[[nodiscard]] std::vector<Arguments::Row> options_of(const CommandEntry& entry);

/// The options of every command.
[[nodiscard]] std::vector<Arguments::Row> global_options();

/// An operand of a command.
struct Operand {
  std::string what;  ///< "NAME" of "[NAME...]"; "bash|zsh|fish" for a choice of words.
  bool repeated = false;

  [[nodiscard]] bool is_choice() const { return what.find('|') != std::string::npos; }
};

/// The operands before a "--".
[[nodiscard]] std::vector<Operand> operands_of(const CommandEntry& entry);

/// A key and its meaning.
using Meaning = std::pair<const char*, const char*>;

/// The commands that are no entry of the table: "help [COMMAND]", "version".
[[nodiscard]] std::span<const Meaning> plain_commands() noexcept;
[[nodiscard]] std::span<const Meaning> environment_variables() noexcept;
[[nodiscard]] std::span<const Meaning> exit_codes() noexcept;
/// The grammar of SIZE and TIME.
[[nodiscard]] std::span<const Meaning> notations() noexcept;
[[nodiscard]] std::span<const Meaning> files() noexcept;

/// Words that stand for --help and --version, in the place of a command.
inline constexpr std::string_view kHelpWord = "help";
inline constexpr std::string_view kVersionWord = "version";

/// The output of `pyro` alone, which fits a screen: the commands, and where to start.
[[nodiscard]] std::string overview(const Terminal& terminal);

/// The output of `pyro --help`: the commands, global options, variables and exit codes.
[[nodiscard]] std::string full_help(const Terminal& terminal);

/// The output of `pyro env`: the commands of a group.
[[nodiscard]] std::string group_help(std::string_view group, const Terminal& terminal);

/// The output of `pyro env pull --help`.
[[nodiscard]] std::string command_help(const CommandEntry& entry, const Terminal& terminal);

}  // namespace pyro::cli
