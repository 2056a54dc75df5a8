// An absolute http or https URL, parsed strictly. libcurl is given the URL rendered from the parsed
// parts, so that it cannot read another host out of the text than the checks here did.
//
// Source: RFC 3986; RFC 6454 section 5 for the origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

struct Url {
  std::string scheme;      ///< "https" or "http"
  std::string userinfo;    ///< "user:password", percent-encoded as given; mostly empty.
  std::string host;        ///< In lower case; an IPv6 address without its brackets.
  std::uint16_t port = 0;  ///< Defaults to that of the scheme.
  std::string path;        ///< Begins with '/'.
  std::string query;       ///< Empty, or begins with '?'.

  /// Takes https and http only, printable ASCII only; drops a fragment.
  [[nodiscard]] static std::optional<Url> parse(std::string_view text);

  /// The URL without user info, which belongs into no request line.
  [[nodiscard]] std::string to_string() const;

  /// "host", or "host:port" for a port other than the scheme's default; IPv6 in brackets.
  [[nodiscard]] std::string authority() const;
};

/// Scheme, host and port agree.
[[nodiscard]] bool same_origin(const Url& a, const Url& b);

/// Resolves a Location field against `base` (RFC 9110 section 10.2.2). Percent-encodes spaces and
/// bytes beyond ASCII, which servers do send. Drops user info.
[[nodiscard]] std::optional<Url> resolve(const Url& base, std::string_view location);

/// Encodes all but RFC 3986's unreserved characters as %XX, as for a query.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// `url` as messages may show it: without user info, query and fragment, which carry secrets. Takes
/// any text, so that URLs that do not parse are cut as well.
[[nodiscard]] std::string redact(std::string_view url);

}  // namespace pyro
