// How to talk to registries and archive servers.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace pyro {

/// How to talk to registries and archive servers. The library reads no environment variables: what
/// the executable takes from them it puts here.
struct NetworkOptions {
  /// Files in the format of docker's config.json and containers-auth.json(5), the first that has an
  /// answer for a registry counts.
  std::vector<std::filesystem::path> credential_files;
  /// Where credential helpers (`docker-credential-NAME`) are looked for: the directories of PATH.
  std::vector<std::filesystem::path> helper_directories;
  /// Files in the format of containers-registries.conf(5), each laid over those before it.
  std::vector<std::filesystem::path> registries_files;
  /// Directories with a directory per registry of more certificates to trust, and of certificates
  /// to show: containers-certs.d(5). All that exist count.
  std::vector<std::filesystem::path> certificate_directories;
  /// Proxies as URLs ("http://proxy:3128"), and the hosts that are reached without, separated by
  /// commas. Loopback hosts are never proxied.
  std::optional<std::string> https_proxy;
  std::optional<std::string> http_proxy;
  std::optional<std::string> all_proxy;
  std::optional<std::string> no_proxy;
  /// Nothing is asked of any host: what would need one is Error(network) at once.
  bool offline = false;
  /// A PEM bundle and a hashed directory that replace the system's trust store.
  std::optional<std::filesystem::path> ca_file;
  std::optional<std::filesystem::path> ca_directory;
  /// Hosts that may be sent credentials as a token realm, beside those of spec section 6.
  std::vector<std::string> trusted_realms;
  /// How often in a row a request is made again whose failure may pass: a broken connection, a
  /// busy server. Bytes that arrived count as progress, and a transfer goes on where it broke off.
  int retries = 5;
  /// The first pause before that; the following are each twice as long, up to 30 s. Longer where
  /// the server asks for it, up to a minute.
  std::chrono::milliseconds retry_delay{500};
  /// From when on a transfer is kept for the next try, should this one be interrupted: what took
  /// less is sooner fetched again than written twice.
  std::chrono::milliseconds keep_after{2000};
};

}  // namespace pyro
