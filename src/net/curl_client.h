// HTTP by libcurl: TLS verified, redirects never followed, nothing sent that was not asked for.
//
// Source: spec section 6 "TLS"; time limits in section 0 of the reliability notes.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "net/http.h"

namespace pyro {

struct CurlOptions {
  /// A PEM bundle and a hashed directory; either one replaces the system's trust store.
  std::optional<std::filesystem::path> ca_file = {};
  std::optional<std::filesystem::path> ca_directory = {};
  std::string user_agent = "pyro";
  /// No host is asked for anything, this machine neither: get() throws at once.
  bool offline = false;
  /// Asking it to stop ends get() at once with Error(interrupted).
  std::stop_token stop = {};
  /// Name lookup, connection and TLS handshake together.
  std::chrono::seconds connect_timeout{10};
  /// How long a transfer may stay below 1 KiB/s.
  std::chrono::seconds stall_timeout{30};
};

/// Speaks HTTP/1.1 over TLS 1.2 or later, or over plain TCP where the URL says http. Proxies are
/// taken from the environment as libcurl does, except for loopback hosts, which are never proxied.
class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(CurlOptions options = {});
  ~CurlClient() override;
  CurlClient(CurlClient&&) noexcept;
  CurlClient& operator=(CurlClient&&) noexcept;

  /// @throws NotTlsError besides what HttpClient::get() says; Error(network) also for headers
  /// beyond 256 KiB or 1000 fields, and for a Content-Encoding on a 2xx.
  HttpResponse get(const HttpRequest& request, const BodySink& sink) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
