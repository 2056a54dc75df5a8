// Which proxy a request goes through, if any.
//
// Source: curl(1) and everything.curl.dev, "Proxy environment variables", for what the settings
// mean; RFC 9110 section 3.7. The library reads no variables: they come as options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/url.h"
#include "pyro/network_options.h"

namespace pyro {

struct Proxy {
  std::string scheme = {};  ///< "http", "https", "socks4", "socks4a", "socks5" or "socks5h"
  std::string host = {};    ///< "proxy.example", or an address; IPv6 in brackets.
  std::uint16_t port = 0;
  std::string username = {};  ///< Both empty where it asks for none.
  std::string password = {};

  /// As a URL is written: "http://proxy:3128"; and "proxy", or "proxy:3128". A proxy without a
  /// port listens at its scheme's own: 80, 443, or 1080 for socks.
  [[nodiscard]] static std::optional<Proxy> parse(std::string_view text);

  /// "http://proxy:3128", without user and password.
  [[nodiscard]] std::string url() const;
  /// "proxy:3128", as it is shown.
  [[nodiscard]] std::string authority() const;
};

/// Whether `url` is to be reached without a proxy, as a list like "localhost,.corp.example,
/// 10.0.0.0/8,[fd00::1]:5000" says: "*" is everything; a name is itself and all below it, with a
/// leading dot or without; an address or a block (CIDR) means addresses that are written as such,
/// no name is looked up; a port limits an entry to that port. What is none of that matches nothing.
[[nodiscard]] bool is_excepted(std::string_view no_proxy, const Url& url);

/// The proxy for `url`: that of its scheme, else the one for all; none for this machine itself, and
/// for what is excepted.
/// @throws Error(failed) for a setting that is not a proxy's URL.
[[nodiscard]] std::optional<Proxy> choose_proxy(const NetworkOptions& options, const Url& url);

}  // namespace pyro
