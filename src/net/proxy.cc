// Which proxy a request goes through, if any.
#include "net/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "base/ascii.h"
#include "base/oci_names.h"
#include "net/redact.h"
#include "pyro/error.h"

namespace pyro {
namespace {

struct Scheme {
  std::string_view name;
  std::uint16_t port;
};

constexpr auto kSchemes = std::to_array<Scheme>({{"http", 80},
                                                 {"https", 443},
                                                 {"socks4", 1080},
                                                 {"socks4a", 1080},
                                                 {"socks5", 1080},
                                                 {"socks5h", 1080}});

/// An address in network order: 4 bytes, or 16.
using Address = std::vector<std::uint8_t>;

std::optional<Address> parse_address(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const std::string terminated(text);
  Address address(sizeof(in6_addr));
  if (::inet_pton(AF_INET6, terminated.c_str(), address.data()) == 1) return address;
  address.resize(sizeof(in_addr));
  if (::inet_pton(AF_INET, terminated.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

bool share_bits(const Address& a, const Address& b, std::size_t bits) {
  if (a.size() != b.size() || bits > 8 * a.size()) return false;
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  return bits % 8 == 0 || (a[whole] ^ b[whole]) >> (8 - bits % 8) == 0;
}

/// "10.0.0.0/8"
bool is_in_block(std::string_view block, const Address& address) {
  const std::size_t slash = block.find('/');
  const std::string_view length = block.substr(slash + 1);
  std::size_t bits = 0;
  const char* const end = length.data() + length.size();
  const auto [rest, error] = std::from_chars(length.data(), end, bits);
  if (length.empty() || error != std::errc() || rest != end) return false;
  const auto prefix = parse_address(block.substr(0, slash));
  return prefix && share_bits(*prefix, address, bits);
}

bool is_at_or_below(std::string_view name, std::string_view host) {
  if (name.starts_with("*.")) name.remove_prefix(1);
  if (name.starts_with('.')) name.remove_prefix(1);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || !host.ends_with(name)) return false;
  return host.size() == name.size() || host[host.size() - name.size() - 1] == '.';
}

bool matches(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  const auto address = parse_address(url.host);
  if (entry.find('/') != entry.npos) return address && is_in_block(entry, *address);
  if (const auto whole = parse_address(entry)) return address == whole;  // fd00::1 has no port
  const HostAndPort parts = split_host_and_port(entry);
  if (parts.has_port && parts.port != std::to_string(url.port)) return false;
  if (address) return address == parse_address(parts.host);
  return is_at_or_below(to_lower(parts.host), url.host);
}

Proxy parse_setting(const std::string& text, const char* what) {
  auto proxy = Proxy::parse(text);
  if (proxy) return std::move(*proxy);
  const std::string shown = redact(text.find("//") == text.npos ? "//" + text : text);
  throw Error(
      ErrorCode::failed,
      std::string("the proxy for ") + what + ", " + shown + ", is not a URL like http://proxy:3128",
      "http, https, socks4, socks4a, socks5 and socks5h are known");
}

}  // namespace

std::optional<Proxy> Proxy::parse(std::string_view text) {
  const std::size_t colon = text.find("://");
  Proxy proxy{.scheme = colon == text.npos ? "http" : to_lower(text.substr(0, colon))};
  const auto* const scheme = std::ranges::find(kSchemes, proxy.scheme, &Scheme::name);
  if (scheme == kSchemes.end()) return std::nullopt;
  if (colon != text.npos) text.remove_prefix(colon + 3);
  const auto url = Url::parse("http://" + std::string(text));
  if (!url || url->path != "/" || !url->query.empty()) return std::nullopt;
  // The parser has its own idea of a port that is not given.
  const std::string_view authority = text.substr(0, text.find('/'));
  const std::string_view address = authority.substr(authority.rfind('@') + 1);
  proxy.port = split_host_and_port(address).has_port ? url->port : scheme->port;
  proxy.host = url->host.find(':') == url->host.npos ? url->host : "[" + url->host + "]";
  const std::size_t end = std::min(url->userinfo.find(':'), url->userinfo.size());
  proxy.username = percent_decode(std::string_view(url->userinfo).substr(0, end));
  if (end < url->userinfo.size()) {
    proxy.password = percent_decode(std::string_view(url->userinfo).substr(end + 1));
  }
  return proxy;
}

std::string Proxy::url() const {
  return scheme + "://" + authority();
}

std::string Proxy::authority() const {
  return host + ":" + std::to_string(port);
}

bool is_excepted(std::string_view no_proxy, const Url& url) {
  constexpr std::string_view kSeparators = ", \t";
  while (!no_proxy.empty()) {
    const std::size_t end = std::min(no_proxy.find_first_of(kSeparators), no_proxy.size());
    if (end > 0 && matches(no_proxy.substr(0, end), url)) return true;
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
  }
  return false;
}

std::optional<Proxy> choose_proxy(const NetworkOptions& options, const Url& url) {
  // What is meant for this machine, in plain http too, must not travel to another.
  if (is_loopback(url.host) || is_excepted(options.no_proxy.value_or(""), url)) {
    return std::nullopt;
  }
  const bool is_https = url.scheme == "https";
  const auto& own = is_https ? options.https_proxy : options.http_proxy;
  if (own) return parse_setting(*own, is_https ? "https" : "http");
  if (options.all_proxy) return parse_setting(*options.all_proxy, "all requests");
  return std::nullopt;
}

}  // namespace pyro
