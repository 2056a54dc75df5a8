// HTTP by libcurl: TLS is verified, redirects are not followed, only the headers of a request are
// sent.
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
  /// The client uses certificates, proxies and `offline`.
  NetworkOptions network = {};
  std::string user_agent = "pyro";
  /// Is given a line without secrets for every request that was answered or failed.
  std::function<void(std::string_view)> trace = {};
  /// Is given a line, once, for each directory of certificates that this user may not read.
  std::function<void(std::string_view)> note = {};
  /// Asking it to stop ends get() at once with Error(interrupted).
  std::stop_token stop = {};
  /// Name lookup, connection and TLS handshake together.
  std::chrono::seconds connect_timeout{10};
  /// How long a transfer may stay below 1 KiB/s.
  std::chrono::seconds stall_timeout{30};
};

/// The options of all clients of this library. They report to `progress`, which may be null and
/// must outlive the client.
[[nodiscard]] CurlOptions client_options(const NetworkOptions& network, std::stop_token stop,
                                         ProgressListener* progress);

/// Speaks HTTP/1.1 over TLS 1.2 or later, or over plain TCP for URLs of http, through the proxy
/// that choose_proxy() returns. Ignores environment variables.
class CurlClient final : public HttpClient {
 public:
  /// @throws Error(failed) for a ca_file that cannot be read, or has no certificate.
  explicit CurlClient(CurlOptions options = {});
  ~CurlClient() override;
  CurlClient(CurlClient&&) noexcept;
  CurlClient& operator=(CurlClient&&) noexcept;

  /// @throws as HttpClient::get(); NotTlsError; Error(network) also for headers beyond 256 KiB or
  /// 1000 fields, and when a proxy refuses, naming it; Error(failed) for an invalid URL of a proxy,
  /// and for certificates that cannot be used.
  HttpResponse get(const HttpRequest& request, const BodySink& sink) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
