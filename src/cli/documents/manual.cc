// Manual pages, in the macros of man(7).
#include "cli/documents/manual.h"

#include <algorithm>
#include <string_view>

#include "cli/commands/commands.h"

namespace pyro::cli {
namespace {

/// A hyphen that is to be copied is "\-"; a line must not begin with a request by accident.
std::string escaped(std::string_view text) {
  std::string result;
  bool at_line_start = true;
  for (const char c : text) {
    if (at_line_start && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
    at_line_start = c == '\n';
  }
  return result;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return text;
}

std::string title(const std::string& name, std::string_view purpose) {
  return ".\\\" Made from the source of pyro's --help.\n.TH " + escaped(upper(name)) +
         " 1 \"\" \"pyro " PYRO_VERSION "\" \"User Commands\"\n.SH NAME\n" + escaped(name) +
         " \\- " + escaped(purpose) + '\n';
}

/// Empty lines part paragraphs.
std::string paragraphs(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    result += line.empty() ? ".PP" : escaped(line);
    result += '\n';
  }
  return result;
}

std::string tagged(const std::string& tag, std::string_view text) {
  return ".TP\n" + tag + '\n' + paragraphs(text);
}

std::string bold(std::string_view text) {
  return "\\fB" + escaped(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return text.empty() ? "" : " \\fI" + escaped(text) + "\\fR";
}

std::string options_of(Rows rows) {
  std::string text;
  for (const Arguments::Row& row : rows) {
    const std::string first = row.short_name.empty() ? "" : bold(row.short_name) + ", ";
    text += tagged(first + bold(row.long_name) + italic(row.placeholder), row.help);
  }
  return text;
}

std::string meanings_of(std::span<const Meaning> meanings) {
  std::string text;
  for (const auto& [key, meaning] : meanings) text += tagged(bold(key), meaning);
  return text;
}

/// As they are typed.
std::string examples_of(std::string_view examples) {
  return ".nf\n" + escaped(examples) + ".fi\n";
}

std::string commands_of() {
  std::string text;
  for (const CommandEntry* const entry : all_commands()) {
    text += tagged(bold(entry->words()) + italic(entry->operands), entry->purpose);
  }
  return text;
}

/// Where they are unless variables say otherwise.
constexpr Meaning kFiles[] = {
    {"~/.cache/pyro-mcp/environments", "the cache"},
    {"~/.config/pyro/catalog.d/*.json", "catalogs; user.json is what 'env add' writes"},
    {"~/.config/containers/auth.json, ~/.docker/config.json", "credentials for registries"},
    {"/etc/containers/registries.conf, ~/.config/containers/registries.conf",
     "mirrors, and which registries are blocked or may speak plain http; the user's instead of "
     "the\n"
     "system's, and what is in the directories registries.conf.d beside them"},
    {"/etc/containers/certs.d, /etc/docker/certs.d, ~/.config/containers/certs.d",
     "authorities and client certificates of single registries"},
};

std::string references_to_pages() {
  std::string text;
  for (const CommandEntry* const entry : all_commands()) {
    text += (text.empty() ? "" : ",\n") + (".BR " + escaped(page_name(*entry)) + " (1)");
  }
  return text + '\n';
}

}  // namespace

std::string page_name(const CommandEntry& entry) {
  std::string name = "pyro-" + entry.words();
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string manual_page(const CommandDescription& command) {
  const CommandEntry& entry = command.entry;
  std::string text = title(page_name(entry), entry.purpose);
  text += ".SH SYNOPSIS\n" + bold("pyro " + entry.words()) + " [\\fIOPTIONS\\fR]" +
          italic(entry.operands) + '\n';
  text +=
      ".SH DESCRIPTION\n" + paragraphs(entry.details.empty() ? std::string(entry.purpose) + ".\n"
                                                             : std::string(entry.details));
  text += ".SH OPTIONS\n" + options_of(command.options);
  text += ".SS Options of every command\n" + options_of(global_options());
  text += ".SH EXAMPLES\n" + examples_of(entry.examples);
  return text + ".SH SEE ALSO\n.BR pyro (1)\n";
}

std::string main_manual_page() {
  std::string text = title("pyro", "named, verified, bootable Linux environments for microVMs");
  text += ".SH SYNOPSIS\n\\fBpyro\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n";
  text +=
      ".SH DESCRIPTION\n"
      "Brings bootable Linux environments from an OCI registry, an archive or a directory into a\n"
      "local cache, whole and verified or not at all, and runs commands in machines of their own\n"
      "that boot them.\n";
  text += ".SH COMMANDS\n" + commands_of();
  text += ".SH OPTIONS\nBefore or after the command.\n" + options_of(global_options());
  text += ".SH ENVIRONMENT\n" + meanings_of(environment_variables());
  text += ".SH FILES\n" + meanings_of(kFiles);
  text += ".SH EXIT STATUS\n" + meanings_of(exit_codes());
  return text + ".SH SEE ALSO\n" + references_to_pages();
}

}  // namespace pyro::cli
