// How to talk to registries and archive servers.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace pyro {

/// The network settings of a store. The library reads no environment variables; the executable
/// fills this in from them.
struct NetworkOptions {
  /// Files in the format of docker's config.json and containers-auth.json(5). The first that has
  /// credentials for a registry counts.
  std::vector<std::filesystem::path> credential_files;
  /// Directories that are searched for credential helpers (`docker-credential-NAME`).
  std::vector<std::filesystem::path> helper_directories;
  /// Files in the format of containers-registries.conf(5). Each overrides those before it.
  std::vector<std::filesystem::path> registries_files;
  /// Directories in the format of containers-certs.d(5): per registry, further authorities to trust
  /// and client certificates. All that exist are used.
  std::vector<std::filesystem::path> certificate_directories;
  /// Proxies as URLs ("http://proxy:3128") for https, for http, and for a scheme without a proxy of
  /// its own. `no_proxy` lists hosts that are reached directly, separated by commas. Loopback hosts
  /// are never proxied.
  std::optional<std::string> https_proxy;
  std::optional<std::string> http_proxy;
  std::optional<std::string> all_proxy;
  std::optional<std::string> no_proxy;
  /// Opens no connection: an operation that needs one fails at once with Error(network).
  bool offline = false;
  /// A PEM bundle and a hashed directory. Either replaces the system's trust store.
  std::optional<std::filesystem::path> ca_file;
  std::optional<std::filesystem::path> ca_directory;
  /// Hosts ("auth.example.org") of further token servers that may receive credentials. By default
  /// these are the registry's own host and the known token servers of Docker Hub and gitlab.com.
  std::vector<std::string> trusted_realms;
  /// Consecutive retries of a request after a transient failure: a broken connection, a busy
  /// server. Received bytes reset the count, and a transfer resumes where it broke off.
  int retries = 5;
  /// The pause before the first retry; it doubles with each, up to 30 s. A server may ask for a
  /// longer one, up to a minute.
  std::chrono::milliseconds retry_delay{500};
  /// A transfer that was interrupted is kept for the next pull if it took at least this long.
  /// Fetching a shorter one again is faster than writing it twice.
  std::chrono::milliseconds keep_after{2000};
};

}  // namespace pyro
