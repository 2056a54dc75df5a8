// What options and variables say of the network.
#include "cli/network_variables.h"

#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <system_error>

#include "base/reference.h"
#include "base/text.h"
#include "cli/sizes.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

/// A variable that names a place means that place alone: who points DOCKER_CONFIG at an empty
/// directory wants no credentials. Else as containers-auth.json(5) has it. The first is the one
/// that a login is kept in, so the session's own directory counts only where there is one, and what
/// podman has in its place comes behind it.
std::vector<fs::path> credential_files(const Variables& variables) {
  if (const auto file = variables("REGISTRY_AUTH_FILE")) return {*file};
  if (const auto directory = variables("DOCKER_CONFIG"))
    return {fs::path(*directory) / "config.json"};
  std::vector<fs::path> files;
  std::error_code error;
  const auto session = absolute_variable(variables, "XDG_RUNTIME_DIR");
  if (session && fs::is_directory(*session, error)) {
    files.push_back(*session / "containers" / "auth.json");
  }
  if (const auto base = base_directory(variables, "XDG_CONFIG_HOME", ".config")) {
    files.push_back(*base / "containers" / "auth.json");
  }
  if (!variables("XDG_RUNTIME_DIR")) {
    const fs::path podmans = "/run/containers/" + std::to_string(::getuid()) + "/auth.json";
    if (fs::exists(podmans, error)) files.push_back(podmans);
  }
  if (const auto home = absolute_variable(variables, "HOME")) {
    files.push_back(*home / ".docker" / "config.json");
    files.push_back(*home / ".dockercfg");
  }
  return files;
}

/// Those of PATH; a relative one would mean a program of whoever made the directory that pyro is
/// run in.
std::vector<fs::path> helper_directories(const Variables& variables) {
  std::vector<fs::path> directories;
  append_colon_separated(directories, variables("PATH").value_or(""));
  std::erase_if(directories, [](const fs::path& directory) { return !directory.is_absolute(); });
  return directories;
}

void set_patience(NetworkOptions& network, const Variables& variables) {
  if (const auto text = variables("PYRO_RETRIES")) {
    const auto retries = parse_count(*text);
    if (!retries) refuse_variable("PYRO_RETRIES", *text, "a number");
    network.retries = *retries;
  }
  if (const auto text = variables("PYRO_RETRY_DELAY")) {
    const auto delay = parse_seconds(*text);
    if (!delay) refuse_variable("PYRO_RETRY_DELAY", *text, "a number of seconds");
    network.retry_delay = *delay;
  }
  if (const auto text = variables("PYRO_KEEP_AFTER")) {
    const auto delay = parse_seconds(*text);
    if (!delay) refuse_variable("PYRO_KEEP_AFTER", *text, "a number of seconds");
    network.keep_after = *delay;
  }
}

/// As containers-registries.conf(5) and -certs.d(5) have it: the user's file in place of the
/// system's, and of what is in directories, both.
void set_registries(NetworkOptions& network, const Variables& variables) {
  const fs::path system = "/etc/containers";
  const auto base = base_directory(variables, "XDG_CONFIG_HOME", ".config");
  const auto own = base ? std::optional(*base / "containers") : std::nullopt;
  if (own) network.certificate_directories.push_back(*own / "certs.d");
  network.certificate_directories.push_back(system / "certs.d");
  network.certificate_directories.emplace_back("/etc/docker/certs.d");
  if (const auto file = variables("CONTAINERS_REGISTRIES_CONF")) {
    network.registries_files = {*file};
    return;
  }
  const auto exists = [](const fs::path& path) {
    std::error_code error;
    return fs::exists(fs::symlink_status(path, error));
  };
  std::vector<fs::path>& files = network.registries_files;
  if (own && exists(*own / "registries.conf")) {
    files.push_back(*own / "registries.conf");
  } else if (exists(system / "registries.conf")) {
    files.push_back(system / "registries.conf");
  }
  const auto add_drop_ins = [&](const fs::path& parent) {
    const fs::path directory = parent / "registries.conf.d";
    std::error_code error;
    const auto drop_ins = files_in(directory, ".conf", error);
    files.insert(files.end(), drop_ins.begin(), drop_ins.end());
    // Told when a registry is to be talked to, and not to who only lists what is installed.
    if (error == std::errc::permission_denied) files.push_back(directory);
  };
  add_drop_ins(system);
  if (own) add_drop_ins(*own);
}

/// HTTP_PROXY is not read: to a program that a web server starts it is a header of the client's.
void set_proxies(NetworkOptions& network, const Variables& variables) {
  const auto either = [&](const char* lower, const char* upper) {
    auto value = variables(lower);
    return value ? value : variables(upper);
  };
  network.https_proxy = either("https_proxy", "HTTPS_PROXY");
  network.http_proxy = variables("http_proxy");
  network.all_proxy = either("all_proxy", "ALL_PROXY");
  network.no_proxy = either("no_proxy", "NO_PROXY");
}

bool is_offline(const GlobalOptions& options, const Variables& variables) {
  const auto text = variables("PYRO_OFFLINE");
  if (options.offline || !text) return options.offline;
  const auto is_one_of = [&](std::initializer_list<const char*> words) {
    return std::ranges::find(words, *text) != words.end();
  };
  if (is_one_of({"0", "false", "no", "off"})) return false;
  if (!is_one_of({"1", "true", "yes", "on"})) refuse_variable("PYRO_OFFLINE", *text, "1 or 0");
  return true;
}

/// Both count: each is the user's word.
std::vector<std::string> trusted_realms(const GlobalOptions& options, const Variables& variables) {
  std::vector<std::string> hosts = options.trusted_realms;
  std::string_view rest;
  const auto list = variables("PYRO_TRUST_REALM");
  if (list) rest = *list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string_view host = trim(rest.substr(0, end));
    if (!host.empty() && !is_oci_registry(host)) {
      refuse_variable("PYRO_TRUST_REALM", std::string(host), "a host like auth.example.org");
    }
    if (!host.empty()) hosts.emplace_back(host);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return hosts;
}

}  // namespace

NetworkOptions network_options(const GlobalOptions& options, const Variables& variables) {
  NetworkOptions network;
  set_patience(network, variables);
  network.credential_files = credential_files(variables);
  network.helper_directories = helper_directories(variables);
  network.trusted_realms = trusted_realms(options, variables);
  set_registries(network, variables);
  set_proxies(network, variables);
  network.ca_file = options.ca_file ? options.ca_file : variables("SSL_CERT_FILE");
  // An option says all of whom to trust.
  if (!options.ca_file) network.ca_directory = variables("SSL_CERT_DIR");
  network.offline = is_offline(options, variables);
  return network;
}

}  // namespace pyro::cli
