// HTTP requests and responses as plain values, and the interface of a client.
//
// Source: RFC 9110, RFC 9112.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "pyro/error.h"

namespace pyro {

/// Header fields in order. Names compare without case (RFC 9110 section 5.1).
class HttpHeaders {
 public:
  void add(std::string name, std::string value);
  /// The first field of that name.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  /// All fields of that name: some may occur several times (WWW-Authenticate).
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
  /// At most 64 KiB of the body of a response other than 2xx; the body of a 2xx from get_small().
  std::string body;
  /// The URL of this response: the last one behind redirects. May hold secrets: redact().
  std::string url = {};
  /// Whether it came from a globally reachable address: is_public().
  bool from_public_peer = false;

  /// Whether this is a 2xx.
  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  /// The media type of Content-Type in lower case, without parameters; empty when there is none.
  [[nodiscard]] std::string media_type() const;
  /// A hint for a wrong body with a Content-Encoding; else empty. Object stores and web
  /// servers label .gz files in this way, so the label alone is no fault, and no body is decoded
  /// because of it.
  [[nodiscard]] std::string encoding_hint() const;
};

/// Called with status and headers of a 2xx before its body. An exception ends the exchange, and
/// get() rethrows it: this is the place to refuse lengths and ranges that were not requested.
using HeadCheck = std::function<void(const HttpResponse&)>;

struct HttpRequest {
  std::string url = {};
  HttpHeaders headers = {};
  HeadCheck on_head = {};
  /// Connect to globally reachable addresses only: a registry on the internet must not lead clients
  /// to their own machine or network.
  bool public_peers_only = false;
  /// Fields as application/x-www-form-urlencoded, sent by POST; empty for GET. They hold secrets:
  /// they are sent once, and never to the target of a redirect.
  std::string form = {};
  /// Do not verify the certificate: the user's choice for this host.
  bool insecure = false;
  /// Whether another host can be asked instead: timeouts are shorter then.
  bool has_alternative = false;
  /// HEAD in place of GET: the same response without its body (RFC 9110 section 9.3.2).
  bool head_only = false;
};

/// Called with the body of a 2xx piece by piece. May block, which holds the sender back. An
/// exception ends the exchange, and get() rethrows it.
using BodySink = std::function<void(std::span<const std::byte>)>;

/// One request at a time, redirects not followed, connections kept. Not thread-safe.
class HttpClient {
 public:
  virtual ~HttpClient() = default;

  /// Sends the body of a 2xx to `sink`. A response of any status is returned.
  /// @throws Error(network) without a complete response; Error(interrupted).
  virtual HttpResponse get(const HttpRequest& request, const BodySink& sink) = 0;
};

/// The peer answered the TLS handshake with something that is not TLS: plain http, most likely. No
/// certificate was presented, and none refused.
class NotTlsError : public Error {
 public:
  explicit NotTlsError(const Error& error) : Error(error) {}
};

/// A sink that appends to `body`, which must outlive it. The sink throws Error(network) when `body`
/// would grow beyond `limit` bytes.
[[nodiscard]] BodySink bounded_sink(std::string& body, std::size_t limit);

/// get() with the body of a 2xx in the response.
/// @throws Error(network) also when the body is larger than `limit` bytes.
[[nodiscard]] HttpResponse get_small(HttpClient& client, const HttpRequest& request,
                                     std::size_t limit);

/// For a HeadCheck: refuses web pages, which networks that want a login first send in place of any
/// response. `expected` is "as a registry", "with an archive".
/// @throws Error(network) naming the host.
void refuse_web_page(const HttpResponse& response, std::string_view expected);

/// One response as the transport receives it: header lines, then pieces of the body. Enforces the
/// limits, and keeps exceptions that must not pass through the transport.
class Exchange {
 public:
  /// Both must outlive it.
  Exchange(const HttpRequest& request, const BodySink& sink) : request_(request), sink_(sink) {}

  /// One line of a header block, of 1xx responses and trailers as well.
  /// @throws Error(network) for a header beyond 256 KiB or 1000 fields, or with a folded line;
  /// and exceptions of the request's on_head.
  void on_header(std::string_view line);
  /// False when the rest of the body is not needed.
  bool on_body(std::span<const std::byte> bytes);

  /// Rethrows the kept exception.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  /// Keeps the exception that is being handled.
  void keep_exception() noexcept { failure_ = std::current_exception(); }

  /// Whether the response can be used although the transfer failed: without a 2xx, the status is
  /// enough.
  [[nodiscard]] bool is_refusal() const { return head_done_ && !response_.ok(); }
  [[nodiscard]] HttpResponse take_response() { return std::move(response_); }

 private:
  void count_header(std::size_t bytes);
  void parse_status_line(std::string_view line);
  void parse_field(std::string_view line);
  void finish_head();

  const HttpRequest& request_;
  const BodySink& sink_;
  HttpResponse response_;
  std::size_t header_bytes_ = 0;
  std::size_t header_fields_ = 0;
  bool head_done_ = false;
  std::exception_ptr failure_;
};

}  // namespace pyro
