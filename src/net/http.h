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

struct HttpRequest {
  std::string url;
  HttpHeaders headers;
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  /// The body where it was not streamed: of every answer but 2xx, at most 64 KiB of it; and of 2xx
  /// when no sink was given, at most the limit the caller named.
  std::string body;
};

/// Takes the body of a 2xx answer piece by piece. May block, which holds the sender back; what it
/// throws ends the exchange and comes out of get().
using BodySink = std::function<void(std::span<const std::byte>)>;

/// One GET at a time, redirects not followed, connections kept. Not thread-safe.
class HttpClient {
 public:
  virtual ~HttpClient() = default;

  /// The body of a 2xx goes to `sink`. Any status is a response, not an error.
  /// @throws Error(network) when there is no complete answer; Error(interrupted).
  virtual HttpResponse get(const HttpRequest& request, const BodySink& sink) = 0;
};

/// get() with the body of a 2xx in the response.
/// @throws Error(network) also when the body is larger than `limit` bytes.
[[nodiscard]] HttpResponse get_small(HttpClient& client, const HttpRequest& request,
                                     std::size_t limit);

}  // namespace pyro
