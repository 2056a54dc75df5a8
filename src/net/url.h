// An absolute http or https URL, taken apart strictly: what libcurl is given is rendered again from
// the parts, so that it cannot read another host out of a URL than the rules here did.
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
  std::string userinfo;    ///< "user:password", percent-encoded as it came; mostly empty.
  std::string host;        ///< In lower case; an IPv6 address without its brackets.
  std::uint16_t port = 0;  ///< The scheme's own where none was given.
  std::string path;        ///< Begins with '/'.
  std::string query;       ///< Empty, or begins with '?'.

  /// Takes https and http only, printable ASCII only; a fragment is dropped.
  [[nodiscard]] static std::optional<Url> parse(std::string_view text);

  /// Everything but the user info, which goes into no request line.
  [[nodiscard]] std::string to_string() const;

  /// "host", or "host:port" where the port is not the scheme's own; IPv6 in brackets.
  [[nodiscard]] std::string authority() const;
};

/// Scheme, host and port agree.
[[nodiscard]] bool same_origin(const Url& a, const Url& b);

/// The URL a Location field means, seen from `base` (RFC 9110 section 10.2.2). Spaces and bytes
/// beyond ASCII, which servers do send, are percent-encoded. User info is taken from neither.
[[nodiscard]] std::optional<Url> resolve(const Url& base, std::string_view location);

/// For an URL's query: everything but RFC 3986's unreserved characters as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// %XX undone; what is no escape stays.
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace pyro
