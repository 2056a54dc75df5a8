// Writes the manual pages, docs/commands.md and the completion scripts: pyro_documents DIRECTORY
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/commands/commands.h"
#include "cli/completion.h"
#include "cli/help.h"

namespace {

namespace fs = std::filesystem;
using namespace pyro::cli;

// Manual pages, in the macros of man(7).

/// A hyphen that is to be copied is "\-"; no line may begin with a request by accident.
std::string escaped(std::string_view text) {
  std::string result;
  bool at_line_start = true;
  for (const char c : text) {
    if (at_line_start && (c == '.' || c == '\'')) result += "\\&";
    result += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    at_line_start = c == '\n';
  }
  return result;
}

/// Empty lines separate paragraphs.
std::string paragraphs(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    result += (line.empty() ? ".PP" : escaped(line)) + '\n';
  }
  return result;
}

std::string bold(std::string_view text) {
  return "\\fB" + escaped(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return text.empty() ? "" : " \\fI" + escaped(text) + "\\fR";
}

std::string tagged(const std::string& tag, std::string_view text) {
  return ".TP\n" + tag + '\n' + paragraphs(text);
}

std::string man_options(Rows rows) {
  std::string text;
  for (const Arguments::Row& row : rows) {
    const std::string first = row.short_name.empty() ? "" : bold(row.short_name) + ", ";
    text += tagged(first + bold(row.long_name) + italic(row.placeholder), row.help);
  }
  return text;
}

std::string man_meanings(std::span<const Meaning> meanings) {
  std::string text;
  for (const auto& [key, meaning] : meanings) text += tagged(bold(key), meaning);
  return text;
}

/// "pyro-env-pull", "pyro-run": the name of a page, and the anchor that GitHub makes of a heading.
std::string page_name(const CommandEntry& entry) {
  std::string name = "pyro-" + entry.words();
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string man_title(const std::string& name, std::string_view purpose) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  return ".\\\" Made from the source of pyro's --help.\n.TH " + escaped(upper) +
         " 1 \"\" \"pyro " PYRO_VERSION "\" \"User Commands\"\n.SH NAME\n" + escaped(name) +
         " \\- " + escaped(purpose) + '\n';
}

std::string manual_page(const CommandEntry& entry) {
  const std::string purpose = std::string(entry.purpose) + ".\n";
  return man_title(page_name(entry), entry.purpose) + ".SH SYNOPSIS\n" +
         bold("pyro " + entry.words()) + " [\\fIOPTIONS\\fR]" + italic(entry.operands) +
         "\n.SH DESCRIPTION\n" + paragraphs(entry.details.empty() ? purpose : entry.details) +
         ".SH OPTIONS\n" + man_options(options_of(entry)) + ".SS Options of every command\n" +
         man_options(global_options()) + ".SH EXAMPLES\n.nf\n" + escaped(entry.examples) +
         ".fi\n.SH SEE ALSO\n.BR pyro (1)\n";
}

std::string main_manual_page() {
  std::string commands;
  std::string pages;
  for (const CommandEntry* const entry : all_commands()) {
    commands += tagged(bold(entry->words()) + italic(entry->operands), entry->purpose);
    pages += (pages.empty() ? "" : ",\n") + (".BR " + escaped(page_name(*entry)) + " (1)");
  }
  return man_title("pyro", "named, verified, bootable Linux environments for microVMs") +
         ".SH SYNOPSIS\n\\fBpyro\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n"
         ".SH DESCRIPTION\n"
         "Brings bootable Linux environments from an OCI registry, an archive or a directory into "
         "a\nlocal cache, whole and verified or not at all, and runs commands in machines of their "
         "own\nthat boot them.\n.SH COMMANDS\n" +
         commands + man_meanings(plain_commands()) + ".SH OPTIONS\nBefore or after the command.\n" +
         man_options(global_options()) +
         ".SS Sizes and times, where an option says nothing else\n" + man_meanings(notations()) +
         ".SH ENVIRONMENT\n" + man_meanings(environment_variables()) + ".SH FILES\n" +
         man_meanings(files()) + ".SH EXIT STATUS\n" + man_meanings(exit_codes()) +
         ".SH SEE ALSO\n" + pages + '\n';
}

// docs/commands.md, in GitHub's Markdown.

/// Text within a cell of a table, on one line.
std::string cell(std::string_view text, std::string_view special = "|<*") {
  std::string result;
  for (const char c : text) {
    if (special.find(c) != special.npos) result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string code(std::string_view text) {
  return '`' + cell(text, "|") + '`';
}

using TableRows = std::vector<std::pair<std::string, std::string>>;

std::string table(const char* heading, const TableRows& rows) {
  std::string text = rows.empty() ? "" : fmt::format("\n| {} | |\n| --- | --- |\n", heading);
  for (const auto& [key, meaning] : rows) text += fmt::format("| {} | {} |\n", key, cell(meaning));
  return text;
}

std::string option_table(Rows rows) {
  TableRows lines;
  for (const Arguments::Row& row : rows) {
    const std::string placeholder = row.placeholder.empty() ? "" : ' ' + row.placeholder;
    lines.emplace_back((row.short_name.empty() ? "" : code(row.short_name) + ", ") +
                           code(row.long_name + placeholder),
                       row.help);
  }
  return table("option", lines);
}

std::string meaning_table(const char* heading, std::span<const Meaning> meanings) {
  TableRows lines;
  for (const auto& [key, meaning] : meanings) lines.emplace_back(code(key), meaning);
  return table(heading, lines);
}

std::string command_reference() {
  TableRows contents;
  std::string sections;
  for (const CommandEntry* const entry : all_commands()) {
    const std::string usage = "pyro " + entry->usage();
    contents.emplace_back(fmt::format("[{}](#{})", code(usage), page_name(*entry)), entry->purpose);
    sections += fmt::format("\n## pyro {}\n\n```\n{}\n```\n\n{}.\n{}{}", entry->words(), usage,
                            entry->purpose, entry->details.empty() ? "" : "\n", entry->details) +
                option_table(options_of(*entry)) + fmt::format("\n```sh\n{}```\n", entry->examples);
  }
  for (const auto& [usage, purpose] : plain_commands()) {
    contents.emplace_back(code(std::string("pyro ") + usage), purpose);
  }
  return "# Commands\n\nEvery command, option, variable and exit code. Generated from the texts of "
         "`--help`; a test checks that it is current.\n" +
         table("command", contents) +
         "\n## Options of every command\n\nBefore or after the command.\n" +
         option_table(global_options()) +
         "\n## Sizes and times\n\nUnless an option says otherwise.\n" +
         meaning_table("value", notations()) + sections + "\n## Environment variables\n" +
         meaning_table("variable", environment_variables()) + "\n## Exit codes\n" +
         meaning_table("code", exit_codes());
}

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("usage: pyro_documents DIRECTORY");
  const fs::path directory = argv[1];
  write(directory / "man1/pyro.1", main_manual_page());
  for (const CommandEntry* const entry : all_commands()) {
    write(directory / "man1" / (page_name(*entry) + ".1"), manual_page(*entry));
  }
  // Under the names by which the shells look for them.
  write(directory / "completions/bash/pyro", *completion_script("bash"));
  write(directory / "completions/zsh/_pyro", *completion_script("zsh"));
  write(directory / "completions/fish/pyro.fish", *completion_script("fish"));
  write(directory / "commands.md", command_reference());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
