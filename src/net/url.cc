// An absolute http or https URL, parsed strictly.
#include "net/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/text.h"

namespace pyro {
namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

std::uint16_t default_port(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
    return is_alnum(c) || c == '.' || c == '-' || c == '_';
  });
}

bool is_ipv6(const std::string& text) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// Parses the part of an authority behind the user info.
bool parse_host_and_port(std::string_view text, Url& url) {
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == kNowhere) return false;
  url.host = to_lower(text.substr(bracketed, end - bracketed));
  if (bracketed ? !is_ipv6(url.host) : !is_host_name(url.host)) return false;
  text.remove_prefix(end + bracketed);
  url.port = default_port(url.scheme);
  if (text.empty()) return true;
  const auto port = text.front() == ':' ? parse_port(text.substr(1)) : std::nullopt;
  if (port) url.port = *port;
  return port.has_value();
}

bool parse_authority(std::string_view text, Url& url) {
  // Browsers read a backslash as a slash: `https://a\\@b/` has one of two hosts, by the reader.
  if (text.find('\\') != kNowhere) return false;
  const std::size_t at = text.find('@');
  if (at != kNowhere) {
    url.userinfo = text.substr(0, at);
    text.remove_prefix(at + 1);
  }
  return parse_host_and_port(text, url);
}

/// Whether `text` begins with a scheme and its colon (RFC 3986 section 3.1).
bool has_scheme(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != kNowhere && colon > 0 && colon < text.find_first_of("/?#") &&
         std::ranges::all_of(text.substr(0, colon), [](char c) {
           return is_alnum(c) || c == '+' || c == '-' || c == '.';
         });
}

/// RFC 3986 section 5.2.4.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool directory = true;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    directory = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!directory) kept.push_back(segment);
  }
  std::string result;
  for (const std::string_view segment : kept) result.append("/").append(segment);
  return directory ? result + "/" : result;
}

void append_escaped(std::string& text, char c) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  text += '%';
  text += kHex[byte >> 4];
  text += kHex[byte & 15];
}

std::string escape_foreign_bytes(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == ' ' || static_cast<unsigned char>(c) >= 0x80) {
      append_escaped(result, c);
    } else {
      result += c;
    }
  }
  return result;
}

std::optional<Url> parse_below(const Url& base, const std::string& path_and_query) {
  std::optional<Url> url = Url::parse(base.scheme + "://" + base.authority() + path_and_query);
  if (url) url->path = remove_dot_segments(url->path);
  return url;
}

}  // namespace

std::optional<Url> Url::parse(std::string_view text) {
  if (!std::ranges::all_of(text, is_graphic)) return std::nullopt;
  const std::size_t colon = text.find("://");
  if (colon == kNowhere) return std::nullopt;
  Url url;
  url.scheme = to_lower(text.substr(0, colon));
  if (url.scheme != "https" && url.scheme != "http") return std::nullopt;

  text = text.substr(colon + 3);
  text = text.substr(0, text.find('#'));
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  if (!parse_authority(text.substr(0, end), url)) return std::nullopt;

  text.remove_prefix(end);
  const std::size_t question = std::min(text.find('?'), text.size());
  url.path = question == 0 ? "/" : text.substr(0, question);
  url.query = text.substr(question);
  return url;
}

std::string Url::to_string() const {
  return scheme + "://" + authority() + path + query;
}

std::string Url::authority() const {
  const std::string name = host.find(':') == kNowhere ? host : "[" + host + "]";
  return port == default_port(scheme) ? name : name + ":" + std::to_string(port);
}

bool same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

std::optional<Url> resolve(const Url& base, std::string_view location) {
  const std::string text = escape_foreign_bytes(location.substr(0, location.find('#')));
  std::optional<Url> url;
  if (has_scheme(text)) {
    url = Url::parse(text);
  } else if (text.starts_with("//")) {
    url = Url::parse(base.scheme + ":" + text);
  } else if (text.starts_with('/')) {
    url = parse_below(base, text);
  } else if (text.empty() || text.starts_with('?')) {
    url = parse_below(base, base.path + (text.empty() ? base.query : text));
  } else {
    url = parse_below(base, base.path.substr(0, base.path.rfind('/') + 1) + text);
  }
  if (url) url->userinfo.clear();
  return url;
}

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      result += c;
    } else {
      append_escaped(result, c);
    }
  }
  return result;
}

std::string redact(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = url.find("//");
  if (scheme == std::string_view::npos) return std::string(url);
  // The last '@', not the first: a password with one in it must not show its tail.
  const std::string_view authority = url.substr(scheme + 2, url.find('/', scheme + 2) - scheme - 2);
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, scheme + 2)) + std::string(url.substr(scheme + 2 + at + 1));
}

}  // namespace pyro
