// HTTP by libcurl: TLS verified, redirects never followed, nothing sent that was not asked for.
//
// Source: spec section 6 "TLS"; time limits in section 0 of the reliability notes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "net/http.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct CurlOptions {
  /// Whom to trust, what to show, the proxies, and whether anybody is to be asked at all; the rest
  /// of it is others' to look at.
  NetworkOptions network = {};
  std::string user_agent = "pyro";
  /// Told of every request that was answered or failed, in a line without secrets.
  std::function<void(std::string_view)> trace = {};
  /// Told once, in a line, of what was passed over and may be missed.
  std::function<void(std::string_view)> note = {};
  /// Asking it to stop ends get() at once with Error(interrupted).
  std::stop_token stop = {};
  /// Name lookup, connection and TLS handshake together.
  std::chrono::seconds connect_timeout{10};
  /// How long a transfer may stay below 1 KiB/s.
  std::chrono::seconds stall_timeout{30};
};

/// As every client of this library is made. What it has to say goes to `progress`, which may be
/// null and must outlive it.
[[nodiscard]] CurlOptions client_options(const NetworkOptions& network, std::stop_token stop,
                                         ProgressListener* progress);

/// Speaks HTTP/1.1 over TLS 1.2 or later, or over plain TCP where the URL says http, through the
/// proxy that net/proxy.h chooses. No environment variable has a say.
class CurlClient final : public HttpClient {
 public:
  /// @throws Error(failed) for a ca_file that cannot be read, or has no certificate.
  explicit CurlClient(CurlOptions options = {});
  ~CurlClient() override;
  CurlClient(CurlClient&&) noexcept;
  CurlClient& operator=(CurlClient&&) noexcept;

  /// @throws NotTlsError besides what HttpClient::get() says; Error(network) also for headers
  /// beyond 256 KiB or 1000 fields, and for what a proxy refuses, naming it; Error(failed) for a
  /// proxy's URL or a host's certificates that are none.
  HttpResponse get(const HttpRequest& request, const BodySink& sink) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
