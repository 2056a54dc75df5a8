// How a connection is made: proxies, certificates, addresses.
#include "net/transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/reference.h"
#include "base/text.h"
#include "net/url.h"
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

using Bytes = std::span<const std::uint8_t>;

/// An IP address in network order: 4 bytes, or 16.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;

  [[nodiscard]] Bytes span() const { return Bytes(bytes).first(size); }
  bool operator==(const Address&) const = default;
};

/// Takes an IPv6 address with brackets or without.
std::optional<Address> parse_address(std::string_view text) noexcept {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return std::nullopt;
  std::ranges::copy(text, terminated.begin());
  Address address;
  address.size = sizeof(in6_addr);
  if (::inet_pton(AF_INET6, terminated.data(), address.bytes.data()) == 1) return address;
  address = {.size = sizeof(in_addr)};
  if (::inet_pton(AF_INET, terminated.data(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

/// Whether the first `bits` of both are the same; `prefix` may be no longer than those.
bool starts_with_bits(Bytes address, Bytes prefix, std::size_t bits) {
  const std::size_t whole = bits / 8;
  if (!std::ranges::equal(address.first(whole), prefix.first(whole))) return false;
  return bits % 8 == 0 || (address[whole] ^ prefix[whole]) >> (8 - bits % 8) == 0;
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
  return prefix && prefix->size == address.size && bits <= 8 * address.size &&
         starts_with_bits(address.span(), prefix->span(), bits);
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

namespace fs = std::filesystem;

/// All authorities that a distribution ships take a quarter of a MiB.
constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

Error unusable_certificates(const fs::path& file, const std::string& why) {
  Error error(ErrorCode::failed, why);
  error.add_context("cannot use the certificates in " + file.string());
  return error;
}

std::string read_file(const fs::path& file) {
  return read_required_file(file, kMaxFileBytes, "cannot use the certificates in");
}

/// Sorted; empty when there is no such directory.
std::vector<fs::path> files_in(const fs::path& directory, std::error_code& error) {
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->path().filename().string().starts_with('.')) files.push_back(entry->path());
  }
  const bool is_absent =
      error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  const bool is_closed = error == std::errc::permission_denied;
  if (error && !is_absent && !is_closed) throw unusable_certificates(directory, error.message());
  std::ranges::sort(files);
  return files;
}

std::vector<std::string> names_of(const Url& url) {
  const std::string name = url.authority();
  if (name == "." || name == "..") return {};  // the target of a redirect may have any name
  const std::string port = ":" + std::to_string(url.port);
  std::vector names{name};
  if (!name.ends_with(port)) names.push_back(name + port);
  if (is_docker_hub(name)) names.emplace_back("docker.io");
  return names;
}

void require_partner(const std::vector<fs::path>& files, const fs::path& file,
                     const char* extension, const char* what) {
  const fs::path partner = fs::path(file).replace_extension(extension);
  if (std::ranges::find(files, partner) != files.end()) return;
  throw unusable_certificates(
      file, std::string("its ") + what + ", " + partner.filename().string() + ", is not beside it");
}

/// `directory`, or the one above if this user may not enter that.
const fs::path& find_closed(const fs::path& directory, const fs::path& above) {
  const bool may_enter = ::faccessat(AT_FDCWD, above.c_str(), X_OK, AT_EACCESS) == 0;
  return may_enter ? directory : above;
}

void read_directory(const fs::path& directory, const fs::path& above, HostCertificates& found) {
  std::error_code error;
  const auto files = files_in(directory, error);
  if (error == std::errc::permission_denied) {
    found.closed.push_back(find_closed(directory, above));
  }
  for (const fs::path& file : files) {
    if (file.extension() == ".crt") found.authorities += read_certificates(file) + "\n";
    if (file.extension() == ".key") require_partner(files, file, ".cert", "certificate");
    if (file.extension() != ".cert") continue;
    require_partner(files, file, ".key", "key");
    if (found.client_certificate) continue;
    static_cast<void>(read_certificates(file));
    found.client_certificate = file;
    found.client_key = fs::path(file).replace_extension(".key");
  }
}

struct Block4 {
  std::array<std::uint8_t, 4> prefix;
  std::size_t bits;
};

constexpr auto kSpecial4 = std::to_array<Block4>({
    {{0, 0, 0, 0}, 8},
    {{10, 0, 0, 0}, 8},
    {{100, 64, 0, 0}, 10},
    {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16},
    {{172, 16, 0, 0}, 12},
    {{192, 0, 0, 0}, 24},
    {{192, 0, 2, 0}, 24},
    {{192, 168, 0, 0}, 16},
    {{198, 18, 0, 0}, 15},
    {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24},
    {{224, 0, 0, 0}, 4},
    {{240, 0, 0, 0}, 4},
});

bool is_public4(Bytes address) {
  return std::ranges::none_of(kSpecial4, [&](const Block4& block) {
    return starts_with_bits(address, block.prefix, block.bits);
  });
}

bool is_public6(Bytes address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  constexpr std::array<std::uint8_t, 2> k6to4 = {0x20, 0x02};
  constexpr std::array<std::uint8_t, 4> kTeredo = {0x20, 0x01, 0, 0};
  constexpr std::array<std::uint8_t, 4> kDocumentation = {0x20, 0x01, 0x0d, 0xb8};
  constexpr std::array<std::uint8_t, 1> kGlobal = {0x20};
  if (starts_with_bits(address, kMapped, 96) || starts_with_bits(address, kNat64, 96)) {
    return is_public4(address.subspan(12));
  }
  if (starts_with_bits(address, k6to4, 16)) return is_public4(address.subspan(2, 4));
  // All addresses assigned so far are in 2000::/3.
  return starts_with_bits(address, kGlobal, 3) && !starts_with_bits(address, kTeredo, 32) &&
         !starts_with_bits(address, kDocumentation, 32);
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
  // Url fills in a default port of its own.
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
  // Requests to this machine, also over plain http, must not go through another.
  if (is_loopback(url.host) || is_excepted(options.no_proxy.value_or(""), url)) {
    return std::nullopt;
  }
  const bool is_https = url.scheme == "https";
  const auto& own = is_https ? options.https_proxy : options.http_proxy;
  if (own) return parse_setting(*own, is_https ? "https" : "http");
  if (options.all_proxy) return parse_setting(*options.all_proxy, "all requests");
  return std::nullopt;
}

std::string read_certificates(const fs::path& file) {
  std::string text = read_file(file);
  if (text.empty()) throw unusable_certificates(file, "it is empty");
  for (const char* kind : {"CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"}) {
    if (text.find(std::string("-----BEGIN ") + kind + "-----") != text.npos) return text;
  }
  throw unusable_certificates(file, "it contains no certificate in PEM format");
}

HostCertificates find_host_certificates(const std::vector<fs::path>& directories, const Url& url) {
  HostCertificates found;
  for (const fs::path& directory : directories) {
    for (const std::string& name : names_of(url)) {
      read_directory(directory / name, directory, found);
    }
  }
  return found;
}

bool is_public(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return is_public4({reinterpret_cast<const std::uint8_t*>(&ip), sizeof(ip)});
  }
  if (address.sa_family == AF_INET6) {
    const auto& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return is_public6({reinterpret_cast<const std::uint8_t*>(&ip), sizeof(ip)});
  }
  return false;
}

bool is_public(std::string_view address) noexcept {
  const auto parsed = parse_address(address);
  if (!parsed) return false;
  return parsed->size == sizeof(in_addr) ? is_public4(parsed->span()) : is_public6(parsed->span());
}

}  // namespace pyro
