// What a command works with: global options and environment variables.
#include "cli/context.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/sizes.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

/// Absolute, without "." and doubled or trailing slashes, as the reference prints paths; ".."
/// stays, since what it means depends on links.
fs::path tidy(const fs::path& path) {
  fs::path result;
  for (const fs::path& part : fs::absolute(path)) {
    if (!part.empty() && part != ".") result /= part;
  }
  return result;
}

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

fs::path cache_directory(const GlobalOptions& options, const Variables& variables) {
  if (options.cache_dir) return tidy(*options.cache_dir);
  if (const auto directory = variables("PYRO_ENVIRONMENT_CACHE_DIR")) return tidy(*directory);
  if (const auto base = base_directory(variables, "XDG_CACHE_HOME", ".cache")) {
    return tidy(*base / "pyro-mcp" / "environments");
  }
  throw Error(ErrorCode::failed, "cannot tell where the cache is: HOME is not set",
              "give --cache-dir DIR, or set PYRO_ENVIRONMENT_CACHE_DIR");
}

/// Nobody named it on a command line, so that it is no pipe that somebody writes to: reading one
/// would not end. Links are followed; what cannot be looked at is not to be opened either, and says
/// so then.
void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status) || fs::is_regular_file(status)) return;
  throw Error(ErrorCode::filesystem, "catalog " + path.string() + " is not a regular file");
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

void append_colon_separated(std::vector<fs::path>& paths, std::string_view list) {
  while (!list.empty()) {
    const std::size_t end = list.find(':');
    if (end != 0) paths.emplace_back(list.substr(0, end));
    list.remove_prefix(end == list.npos ? list.size() : end + 1);
  }
}

std::optional<fs::path> catalog_directory(const Variables& variables) {
  const auto base = base_directory(variables, "XDG_CONFIG_HOME", ".config");
  return base ? std::optional(*base / "pyro" / "catalog.d") : std::nullopt;
}

std::vector<fs::path> catalog_files(const GlobalOptions& options, const Variables& variables) {
  std::vector<fs::path> files;
  if (const auto directory = catalog_directory(variables)) files = catalog_files_in(*directory);
  append_colon_separated(files, variables("PYRO_CATALOG").value_or(""));
  files.insert(files.end(), options.catalogs.begin(), options.catalogs.end());
  return files;
}

std::optional<fs::path> runtime_directory(const GlobalOptions& options,
                                          const Variables& variables) {
  if (options.runtime_dir) return tidy(*options.runtime_dir);
  if (const auto directory = variables("PYRO_RUNTIME_BUNDLE_DIR")) return tidy(*directory);
  return std::nullopt;
}

/// A variable that names a place means that place alone: who points DOCKER_CONFIG at an empty
/// directory wants no credentials. Else as containers-auth.json(5) has it. The first is the one
/// that a login is kept in, so the session's own directory counts only where there is one.
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
  if (const auto home = absolute_variable(variables, "HOME")) {
    files.push_back(*home / ".docker" / "config.json");
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

[[noreturn]] void refuse_variable(const char* name, const std::string& value,
                                  const char* expected) {
  throw Error(ErrorCode::usage, std::string(name) + ": '" + value + "' is not " + expected);
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

NetworkOptions network_options(const GlobalOptions& options, const Variables& variables) {
  NetworkOptions network;
  set_patience(network, variables);
  network.credential_files = credential_files(variables);
  network.helper_directories = helper_directories(variables);
  set_registries(network, variables);
  set_proxies(network, variables);
  network.ca_file = options.ca_file ? options.ca_file : variables("SSL_CERT_FILE");
  // An option says all of whom to trust.
  if (!options.ca_file) network.ca_directory = variables("SSL_CERT_DIR");
  return network;
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

bool is_utf8(const Variables& variables) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto locale = variables(name);
    if (locale)
      return locale->find("UTF-8") != locale->npos || locale->find("utf8") != locale->npos;
  }
  return false;
}

std::string not_empty(const char* option, const std::string& value) {
  if (value.empty()) {
    throw Error(ErrorCode::usage, std::string("option '") + option + "' needs a value");
  }
  return value;
}

}  // namespace

std::optional<std::string> process_variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any.
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

void declare(Arguments& arguments, GlobalOptions& options) {
  arguments.value(
      "--cache-dir", "DIR",
      [&](const std::string& text) { options.cache_dir = not_empty("--cache-dir", text); },
      "Keep environments in DIR");
  arguments.value(
      "--catalog", "FILE",
      [&](const std::string& text) { options.catalogs.push_back(not_empty("--catalog", text)); },
      "Add the environments of a catalog file; may be repeated");
  arguments.value(
      "--runtime-dir", "DIR",
      [&](const std::string& text) { options.runtime_dir = not_empty("--runtime-dir", text); },
      "Install from the runtime bundle in DIR where it can serve");
  arguments.value(
      "--ca-file", "FILE",
      [&](const std::string& text) { options.ca_file = not_empty("--ca-file", text); },
      "Trust the certificate authorities in FILE (PEM) instead of\nthe system's");
  arguments.flag("--offline", options.offline, "Ask no host for anything");
  arguments.counter(
      "-v,--verbose", options.verbosity,
      "Say which cache and catalogs are used, and what else may\nbe of interest; -vv: "
      "every request, too");
  if (!arguments.knows("--version")) {
    arguments.flag("--version", options.version, "Print the version");
  }
  arguments.flag("-h,--help", options.help, "Print this help");
}

Terminal standard_terminal(int fd, const Variables& variables) {
  const bool interactive = is_terminal(fd) && variables("TERM").value_or("dumb") != "dumb";
  return Terminal(fd, {.interactive = interactive,
                       .colour = interactive && !variables("NO_COLOR"),
                       .unicode = is_utf8(variables)});
}

std::optional<fs::path> user_catalog_file(const Variables& variables) {
  const auto directory = catalog_directory(variables);
  return directory ? std::optional(*directory / "user.json") : std::nullopt;
}

StoreOptions store_options(const GlobalOptions& options, const Variables& variables) {
  StoreOptions store;
  store.cache_dir = cache_directory(options, variables);
  store.catalog = Catalog::load(catalog_files(options, variables));
  store.runtime_dir = runtime_directory(options, variables);
  store.network = network_options(options, variables);
  store.network.offline = is_offline(options, variables);
  store.extractor = "/proc/self/exe";  // this version, whatever is installed meanwhile
  return store;
}

}  // namespace pyro::cli
