// Debian's docker-registry on loopback, for as long as a test needs it.
#include "support/real_registry.h"

#include <fmt/format.h>

#include <regex>

namespace pyro::testing {
namespace {

// It listens on any free port and prints the port to its log.
std::optional<int> port_in(const std::string& log) {
  static const std::regex kListening(R"(listening on 127\.0\.0\.1:([0-9]+))");
  std::smatch match;
  if (!std::regex_search(log, match, kListening)) return std::nullopt;
  return std::stoi(match[1]);
}

}  // namespace

RealRegistry::RealRegistry(const CertificateAuthority& authority,
                           const RealRegistryOptions& options)
    : options_(options) {
  if (options_.auth == RealRegistryOptions::Auth::basic) write_password_file();
  write_file(dir_ / "config.yml", configuration(authority));
  process_ = std::make_unique<BackgroundProcess>(
      // REGISTRY_* variables would change its configuration.
      Command{.argv = {"docker-registry", "serve", (dir_ / "config.yml").string()},
              .env = {{"SSL_CERT_FILE", authority.certificate_file().string()}},
              .clean_env = true},
      dir_ / "log");
  // The socket takes connections from before this line is written.
  process_->wait_until("docker-registry listens", [this] { return port_in(log()).has_value(); });
  port_ = *port_in(log());
}

std::string RealRegistry::host(const std::string& name) const {
  return fmt::format("{}:{}", name, port_);
}

std::string RealRegistry::url(const std::string& name) const {
  return (options_.tls ? "https://" : "http://") + host(name);
}

bool RealRegistry::has_blob(const std::string& digest) const {
  const std::string hex = digest.substr(digest.find(':') + 1);
  return std::filesystem::exists(dir_ / "storage/docker/registry/v2/blobs/sha256" /
                                 hex.substr(0, 2) / hex / "data");
}

std::string RealRegistry::configuration(const CertificateAuthority& authority) const {
  std::string text = fmt::format(R"(version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:0
  secret: only-for-tests
  http2: {{disabled: {}}}
)",
                                 (dir_ / "storage").string(), !options_.http2);
  if (options_.tls) {
    LeafOptions leaf;
    leaf.file_name = fmt::format("docker-registry-{}", dir_.path().filename().string());
    const KeyPair pair = authority.issue(leaf);
    text += fmt::format("  tls: {{certificate: {}, key: {}}}\n", pair.certificate.string(),
                        pair.key.string());
  }
  if (!options_.proxied_url.empty()) {
    text += fmt::format("proxy: {{remoteurl: '{}'}}\n", options_.proxied_url);
  }
  switch (options_.auth) {
    case RealRegistryOptions::Auth::open:
      break;
    case RealRegistryOptions::Auth::basic:
      text += fmt::format("auth:\n  htpasswd: {{realm: pyro-test, path: {}}}\n",
                          (dir_ / "htpasswd").string());
      break;
    case RealRegistryOptions::Auth::bearer:
      text += fmt::format(
          "auth:\n  token: {{realm: '{}', service: {}, issuer: {}, rootcertbundle: {}}}\n",
          options_.realm, options_.service, options_.issuer, options_.token_certificates.string());
      break;
  }
  return text;
}

void RealRegistry::write_password_file() const {
  // docker-registry takes bcrypt only; at the lowest cost, since it is paid on every request.
  const auto entry =
      run_checked({.argv = {"htpasswd", "-Bbn", "-C", "4", options_.user, options_.password}});
  write_file(dir_ / "htpasswd", entry.out);
}

}  // namespace pyro::testing
