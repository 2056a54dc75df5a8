// An HTTP exchange as plain values, and the seam between those who speak HTTP and libcurl.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/recoverable.h"
#include "pyro/error.h"

namespace pyro {

/// Header fields in the order they came. Names compare without case (RFC 9110 section 5.1).
class HttpHeaders {
 public:
  void add(std::string name, std::string value);
  /// The first field of that name.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  /// Every field of that name, for those that may come several times (WWW-Authenticate).
  [[nodiscard]] std::vector<std::string> get_all(std::string_view name) const;
  void remove(std::string_view name);
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& fields() const noexcept {
    return fields_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  /// The body where it was not streamed: of every answer but 2xx, at most 64 KiB of it; and of 2xx
  /// from get_small().
  std::string body;
  /// The URL that gave this answer: behind redirects, the last one. May hold secrets: redact().
  std::string url = {};
  /// Whether it came from an address that is everybody's (net/address.h).
  bool from_public_peer = false;

  /// Whether this is a 2xx.
  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  /// The media type of Content-Type in lower case, without parameters; empty when there is none.
  [[nodiscard]] std::string media_type() const;
  /// A hint for a body that is not what it should be, where the server says that it encoded it;
  /// else empty. Object stores and web servers label what is a .gz by itself in this way, so
  /// that the label alone is no fault, and a body is never decoded because of it.
  [[nodiscard]] std::string encoding_hint() const;
};

/// Sees status and headers of a 2xx before its body; what it throws ends the exchange and comes out
/// of get(). The place to refuse a length or a range that was not asked for.
using HeadCheck = std::function<void(const HttpResponse&)>;

struct HttpRequest {
  std::string url = {};
  HttpHeaders headers = {};
  HeadCheck on_head = {};
  /// Whether only such an address may be connected to: a registry on the internet has no business
  /// sending people to their own machine, or to the network around it.
  bool public_peers_only = false;
  /// Fields as application/x-www-form-urlencoded, which are sent by POST; empty: a GET. They hold
  /// secrets: nobody sends them twice, or to where an answer redirects.
  std::string form = {};
  /// Whether the certificate is not looked at: the user says so of this very host.
  bool insecure = false;
  /// Whether others can be asked instead: then silence is not waited out as long.
  bool has_alternative = false;
  /// HEAD in place of GET: the same answer without its body (RFC 9110 section 9.3.2).
  bool head_only = false;
};

/// Takes the body of a 2xx answer piece by piece. May block, which holds the sender back; what it
/// throws ends the exchange and comes out of get().
using BodySink = std::function<void(std::span<const std::byte>)>;

/// One request at a time, redirects not followed, connections kept. Not thread-safe.
class HttpClient {
 public:
  virtual ~HttpClient() = default;

  /// The body of a 2xx goes to `sink`. Any status is a response, not an error.
  /// @throws Error(network) when there is no complete answer; Error(interrupted).
  virtual HttpResponse get(const HttpRequest& request, const BodySink& sink) = 0;
};

/// The peer answered the TLS handshake with something that is not TLS: plain http, most likely.
/// Nobody was authenticated, and nothing was refused (spec section 6, "TLS").
class NotTlsError : public Error {
 public:
  explicit NotTlsError(const Error& error) : Error(error) {}
};

/// A sink that appends to `body`, which must outlive it.
/// @throws Error(network), out of the sink, when `body` would grow beyond `limit` bytes.
[[nodiscard]] BodySink bounded_sink(std::string& body, std::size_t limit);

/// get() with the body of a 2xx in the response.
/// @throws Error(network) also when the body is larger than `limit` bytes.
[[nodiscard]] HttpResponse get_small(HttpClient& client, const HttpRequest& request,
                                     std::size_t limit);

}  // namespace pyro
