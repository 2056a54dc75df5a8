// What --help prints.
#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace pyro::cli {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string heading(const Terminal& terminal, std::string_view text) {
  return '\n' + terminal.paint(Colour::bold, text) + '\n';
}

/// "  key   text" with aligned texts; further lines of a text begin below its first.
std::string aligned(const Lines& lines) {
  std::size_t width = 0;
  for (const auto& [key, text] : lines) width = std::max(width, key.size());
  std::string result;
  for (auto [key, text] : lines) {
    const std::string indent = '\n' + std::string(width + 4, ' ');
    for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos; at += indent.size()) {
      text.replace(at, 1, indent);
    }
    result += fmt::format("  {:<{}}  {}\n", key, width, text);
  }
  return result;
}

std::string aligned(std::span<const Meaning> meanings) {
  return aligned(Lines(meanings.begin(), meanings.end()));
}

std::string options_of(Rows rows) {
  Lines lines;
  for (const Arguments::Row& row : rows) lines.emplace_back(row.shown(), row.help);
  return aligned(lines);
}

std::string commands_of(std::span<const CommandEntry* const> commands) {
  Lines lines;
  for (const CommandEntry* const entry : commands) {
    const std::string gap = entry->operands.empty() ? "" : " ";
    lines.emplace_back(entry->words() + gap + std::string(entry->operands), entry->purpose);
  }
  return aligned(lines);
}

std::string introduction(std::span<const CommandEntry* const> commands, const Terminal& terminal) {
  return terminal.paint(Colour::bold, "pyro") +
         ": named, verified, bootable Linux environments for microVMs\n" +
         heading(terminal, "Usage") + "  pyro [OPTIONS] COMMAND [ARGUMENTS]\n" +
         heading(terminal, "Commands") + commands_of(commands);
}

}  // namespace

std::string overview(std::span<const CommandEntry* const> commands, const Terminal& terminal) {
  return introduction(commands, terminal) + heading(terminal, "Start here") +
         "  pyro env list              what there is\n"
         "  pyro env pull debian:12    bring one here\n"
         "  pyro run debian:12 -- uname -a\n"
         "                             run a command in it\n"
         "  pyro --help                options, variables, exit codes\n";
}

std::string full_help(std::span<const CommandEntry* const> commands, const Terminal& terminal) {
  return introduction(commands, terminal) +
         heading(terminal, "Options, before or after the command") + options_of(global_options()) +
         heading(terminal, "Environment variables") + aligned(environment_variables()) +
         heading(terminal, "Exit codes") + aligned(exit_codes()) +
         "\nSee 'pyro COMMAND --help' for a command's own options and examples.\n";
}

std::string command_help(const CommandDescription& command, const Terminal& terminal) {
  const CommandEntry& entry = command.entry;
  const std::string operands = entry.operands.empty() ? "" : ' ' + std::string(entry.operands);
  std::string text = fmt::format("{}\n", entry.purpose) + heading(terminal, "Usage") +
                     fmt::format("  pyro {} [OPTIONS]{}\n", entry.words(), operands);
  if (!entry.details.empty()) text += fmt::format("\n{}", entry.details);
  return text + heading(terminal, "Options") + options_of(command.options) +
         heading(terminal, "Options of every command") + options_of(global_options()) +
         heading(terminal, "Examples") + std::string(entry.examples);
}

}  // namespace pyro::cli
