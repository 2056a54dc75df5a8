// What can be told of the commands without running one.
#include "cli/description.h"

#include <sstream>

namespace pyro::cli {
namespace {

constexpr Meaning kVariables[] = {
    {"PYRO_ENVIRONMENT_CACHE_DIR", "the cache, else $XDG_CACHE_HOME/pyro-mcp/environments"},
    {"PYRO_STORES", "directories, separated by colons: as --store"},
    {"PYRO_CATALOG", "catalog files, separated by colons"},
    {"PYRO_RUNTIME_BUNDLE_DIR", "a runtime bundle to install from"},
    {"PYRO_OFFLINE", "1: as --offline"},
    {"PYRO_TRUST_REALM", "hosts, separated by commas: as --trust-realm"},
    {"PYRO_RETRIES, PYRO_RETRY_DELAY", "as --retries and --retry-delay of 'env pull'"},
    {"PYRO_KEEP_AFTER", "seconds after which a transfer is worth going on with (2)"},
    {"REGISTRY_AUTH_FILE", "registry credentials, and no others; see 'registry login'"},
    {"DOCKER_CONFIG", "else: the directory of the config.json that has them"},
    {"XDG_RUNTIME_DIR", "else: where containers/auth.json is looked for first"},
    {"PYRO_QEMU", "the machine monitor, else qemu-system-x86_64 in $PATH"},
    {"PYRO_KVM", "off: /dev/kvm is not used; require: no machine without it"},
    {"CONTAINERS_REGISTRIES_CONF", "mirrors and such; else containers/registries.conf and .d"},
    {"SSL_CERT_FILE, SSL_CERT_DIR", "certificates to trust instead of the system's"},
    {"https_proxy, HTTPS_PROXY", "the proxy for https"},
    {"http_proxy", "the proxy for plain http; in lower case only"},
    {"all_proxy, ALL_PROXY", "the proxy for whatever has none of its own"},
    {"no_proxy, NO_PROXY", "hosts, .domains and 10.0.0.0/8 that are reached without one"},
    {"XDG_CACHE_HOME", "where caches are, else ~/.cache"},
    {"XDG_CONFIG_HOME", "pyro/catalog.d/*.json, containers/auth.json; else ~/.config"},
    {"HOME", "where ~ is"},
    {"PATH", "where qemu-system-x86_64 and credential helpers are"},
    {"LD_LIBRARY_PATH", "handed on to the process that unpacks"},
    {"PYRO_LIBRARY, PYRO_EXECUTABLE",
     "of the Python module: libpyro.so and pyro, unless installed"},
    {"NO_COLOR", "no colours"},
    {"TERM", "dumb: neither colours nor a progress bar; 'run -t' hands it on"},
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
    {"75", "busy: another process holds what is needed"},
    {"130", "interrupted"},
    {"of 'run'", "the command's own; 124 to 127 as 'pyro run --help' says"},
};

}  // namespace

CommandDescription describe(const CommandEntry& entry) {
  Arguments arguments;
  const auto command = entry.make();
  command->declare(arguments);
  return {entry, arguments.rows()};
}

std::vector<Operand> operands_of(const CommandEntry& entry) {
  std::vector<Operand> operands;
  std::istringstream words{std::string(entry.operands)};
  for (std::string word; words >> word && word != "--";) {
    std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
    const bool repeated = word.ends_with("...");
    operands.push_back({repeated ? word.substr(0, word.size() - 3) : word, repeated});
  }
  return operands;
}

std::vector<Arguments::Row> global_options() {
  Arguments arguments;
  GlobalOptions options;
  declare(arguments, options);
  return arguments.rows();
}

std::span<const Meaning> environment_variables() noexcept {
  return kVariables;
}

std::span<const Meaning> exit_codes() noexcept {
  return kExitCodes;
}

}  // namespace pyro::cli
