// What --help prints.
#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace pyro::cli {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

constexpr std::pair<const char*, const char*> kVariables[] = {
    {"PYRO_ENVIRONMENT_CACHE_DIR", "the cache, else $XDG_CACHE_HOME/pyro-mcp/environments"},
    {"PYRO_CATALOG", "catalog files, separated by colons"},
    {"PYRO_RUNTIME_BUNDLE_DIR", "a runtime bundle to install from"},
    {"PYRO_OFFLINE", "1: as --offline"},
    {"PYRO_RETRIES, PYRO_RETRY_DELAY", "as --retries and --retry-delay of 'env pull'"},
    {"PYRO_KEEP_AFTER", "seconds after which a transfer is worth going on with (2)"},
    {"REGISTRY_AUTH_FILE", "registry credentials, else $DOCKER_CONFIG/config.json"},
    {"DOCKER_CONFIG", "the directory of Docker's settings, else ~/.docker"},
    {"PYRO_QEMU", "the machine monitor, else qemu-system-x86_64 in $PATH"},
    {"PYRO_KVM", "off: machines leave /dev/kvm alone"},
    {"SSL_CERT_FILE, SSL_CERT_DIR", "certificates to trust instead of the system's"},
    {"https_proxy, no_proxy", "the proxy, and the hosts without one, as for curl"},
    {"XDG_CACHE_HOME", "where caches are, else ~/.cache"},
    {"XDG_CONFIG_HOME", "where pyro/catalog.d/*.json is, else ~/.config"},
    {"NO_COLOR", "no colours"},
    {"TERM", "dumb: neither colours nor a progress bar"},
    {"LC_ALL, LC_CTYPE, LANG", "a UTF-8 locale: more than ASCII is shown"},
};

constexpr std::pair<const char*, const char*> kExitCodes[] = {
    {"0", "done"},
    {"1", "failed: a bad catalog, an incompatible environment, anything else"},
    {"2", "usage"},
    {"3", "unknown environment, or not installed"},
    {"4", "network or registry, refused credentials"},
    {"5", "integrity: wrong digests, unusable archives, verify found a difference"},
    {"6", "local file system"},
    {"75", "busy: another process holds what is needed"},
    {"130", "interrupted"},
    {"of 'run'", "the command's own; 124 to 127 as 'pyro run --help' says"},
};

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

template <typename Table>
std::string aligned_table(const Table& table) {
  return aligned(Lines(std::begin(table), std::end(table)));
}

std::string options_of(Rows rows) {
  Lines lines;
  for (const Arguments::Row& row : rows) lines.emplace_back(row.names, row.help);
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

std::string full_help(std::span<const CommandEntry* const> commands, Rows globals,
                      const Terminal& terminal) {
  return introduction(commands, terminal) +
         heading(terminal, "Options, before or after the command") + options_of(globals) +
         heading(terminal, "Environment variables") + aligned_table(kVariables) +
         heading(terminal, "Exit codes") + aligned_table(kExitCodes) +
         "\nSee 'pyro COMMAND --help' for a command's own options and examples.\n";
}

std::string command_help(const CommandEntry& entry, Rows own, Rows globals,
                         const Terminal& terminal) {
  const std::string operands = entry.operands.empty() ? "" : ' ' + std::string(entry.operands);
  std::string text = fmt::format("{}\n", entry.purpose) + heading(terminal, "Usage") +
                     fmt::format("  pyro {} [OPTIONS]{}\n", entry.words(), operands);
  if (!entry.details.empty()) text += fmt::format("\n{}", entry.details);
  return text + heading(terminal, "Options") + options_of(own) +
         heading(terminal, "Options of every command") + options_of(globals) +
         heading(terminal, "Examples") + std::string(entry.examples);
}

}  // namespace pyro::cli
