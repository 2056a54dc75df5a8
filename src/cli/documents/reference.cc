// docs/commands.md, in GitHub's Markdown.
#include "cli/documents/reference.h"

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/description.h"

namespace pyro::cli {
namespace {

/// One line of a table's cell.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += ' ';
    } else {
      if (c == '|' || c == '<' || c == '*') result += '\\';
      result += c;
    }
  }
  return result;
}

std::string code(std::string_view text) {
  std::string result = "`";
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result + '`';
}

std::string names_of(const Arguments::Row& row) {
  const std::string placeholder = row.placeholder.empty() ? "" : ' ' + row.placeholder;
  return (row.short_name.empty() ? "" : code(row.short_name) + ", ") +
         code(row.long_name + placeholder);
}

std::string option_table(Rows rows) {
  if (rows.empty()) return {};
  std::string text = "\n| option | |\n| --- | --- |\n";
  for (const Arguments::Row& row : rows) {
    text += fmt::format("| {} | {} |\n", names_of(row), cell(row.help));
  }
  return text;
}

std::string meanings_of(const char* heading, std::span<const Meaning> meanings) {
  std::string text = fmt::format("\n| {} | |\n| --- | --- |\n", heading);
  for (const auto& [key, meaning] : meanings) {
    text += fmt::format("| {} | {} |\n", code(key), cell(meaning));
  }
  return text;
}

std::string usage_of(const CommandEntry& entry) {
  const std::string operands = entry.operands.empty() ? "" : ' ' + std::string(entry.operands);
  return "pyro " + entry.words() + operands;
}

/// As GitHub derives it from a heading.
std::string anchor_of(const CommandEntry& entry) {
  std::string anchor = "pyro-" + entry.words();
  for (char& c : anchor) c = c == ' ' ? '-' : c;
  return anchor;
}

std::string contents() {
  std::string text = "\n| command | |\n| --- | --- |\n";
  for (const CommandEntry* const entry : all_commands()) {
    text += fmt::format("| [{}](#{}) | {} |\n", code(usage_of(*entry)), anchor_of(*entry),
                        cell(entry->purpose));
  }
  return text;
}

std::string section(const CommandDescription& command) {
  const CommandEntry& entry = command.entry;
  std::string text = fmt::format("\n## pyro {}\n\n```\n{}\n```\n\n{}.\n", entry.words(),
                                 usage_of(entry), entry.purpose);
  if (!entry.details.empty()) text += fmt::format("\n{}", entry.details);
  return text + option_table(command.options) + fmt::format("\n```sh\n{}```\n", entry.examples);
}

}  // namespace

std::string command_reference() {
  std::string text =
      "# Commands\n\nEvery command, option, variable and exit code. Made from the source of "
      "`--help`; a test holds it to that.\n";
  text += contents();
  text += "\n## Options of every command\n\nBefore or after the command.\n" +
          option_table(global_options());
  for (const CommandEntry* const entry : all_commands()) text += section(describe(*entry));
  text += "\n## Environment variables\n" + meanings_of("variable", environment_variables());
  text += "\n## Exit codes\n" + meanings_of("code", exit_codes());
  return text;
}

}  // namespace pyro::cli
