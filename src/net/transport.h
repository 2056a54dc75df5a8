// How a connection is made: through which proxy, with which certificates, to which addresses.
//
// Sources: curl(1), everything.curl.dev, "Proxy environment variables", and RFC 9110 section 3.7
// for proxies; containers-certs.d(5) and Docker's "Verify repository client with certificates";
// IANA's registries of special-purpose addresses (RFC 6890, RFC 8190).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/url.h"
#include "pyro/network_options.h"

namespace pyro {

/// A proxy that a setting names.
struct Proxy {
  std::string scheme = {};  ///< "http", "https", "socks4", "socks4a", "socks5" or "socks5h"
  std::string host = {};    ///< "proxy.example", or an address; IPv6 in brackets.
  std::uint16_t port = 0;
  std::string username = {};  ///< Both empty without a login.
  std::string password = {};

  /// Takes a URL, "http://proxy:3128", and "proxy" or "proxy:3128". The port defaults to that of
  /// the scheme: 80, 443, or 1080 for socks.
  [[nodiscard]] static std::optional<Proxy> parse(std::string_view text);

  /// "http://proxy:3128", without user and password.
  [[nodiscard]] std::string url() const;
  /// "proxy:3128", as messages show it.
  [[nodiscard]] std::string authority() const;
};

/// Whether a list like "localhost,.corp.example,10.0.0.0/8,[fd00::1]:5000" exempts `url` from the
/// proxy. "*" matches everything; a name, with a leading dot or without, matches itself and all
/// names below it; an address or block (CIDR) matches URLs with an address, as no name is looked
/// up; a port limits an entry to that port. Other entries match nothing.
[[nodiscard]] bool is_excepted(std::string_view no_proxy, const Url& url);

/// The proxy for `url`: that of its scheme, else that for all schemes; none for this machine, and
/// for exempted URLs.
/// @throws Error(failed) for a setting that is not a proxy's URL.
[[nodiscard]] std::optional<Proxy> choose_proxy(const NetworkOptions& options, const Url& url);

/// The text of a PEM file with at least one certificate.
/// @throws Error(failed) naming a file that cannot be read, or has no certificate.
[[nodiscard]] std::string read_certificates(const std::filesystem::path& file);

/// The certificates for one host.
struct HostCertificates {
  /// Additional authorities to trust: certificates in PEM, concatenated; mostly empty.
  std::string authorities;
  /// Both or neither.
  std::optional<std::filesystem::path> client_certificate = {};
  std::optional<std::filesystem::path> client_key = {};
  /// Directories that this user may not read, which may hold more.
  std::vector<std::filesystem::path> closed = {};
};

/// Looks in each of `directories` for a directory named as the host of `url`:
/// "registry.example:5000"; without the port, or with it, if that is the scheme's default;
/// "docker.io" for Docker Hub. Takes all *.crt from it, and the first pair of NAME.cert and
/// NAME.key. Ignores hidden and other files, and directories that this user may not read:
/// /etc/docker is root's alone on many machines.
/// @throws Error(failed) for a certificate without its key, a key without its certificate, and
/// files that cannot be read.
[[nodiscard]] HostCertificates find_host_certificates(
    const std::vector<std::filesystem::path>& directories, const Url& url);

/// Whether an address is globally reachable: not loopback, link-local, private, shared, reserved or
/// multicast. An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is judged by that.
[[nodiscard]] bool is_public(const sockaddr& address);

/// The same for an address as text; false for other text.
[[nodiscard]] bool is_public(std::string_view address) noexcept;

}  // namespace pyro
