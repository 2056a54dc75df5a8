// HTTP by libcurl: TLS is verified, redirects are not followed, only the headers of a request are
// sent.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "net/curl.h"
#include "net/http.h"
#include "net/transport.h"
#include "net/url.h"
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

/// Which addresses a request may connect to.
struct PeerPolicy {
  bool public_only = false;
  bool has_refused = false;
};

/// Speaks HTTP/1.1 over TLS 1.2 or later, or over plain TCP for URLs of http, through the proxy
/// that choose_proxy() returns. Ignores environment variables.
class CurlClient final : public HttpClient {
 public:
  /// @throws Error(failed) for a ca_file that cannot be read, or has no certificate.
  explicit CurlClient(CurlOptions options = {});
  CurlClient(const CurlClient&) = delete;
  CurlClient& operator=(const CurlClient&) = delete;

  /// @throws as HttpClient::get(); NotTlsError; Error(network) also for headers beyond 256 KiB or
  /// 1000 fields, and when a proxy refuses, naming it; Error(failed) for an invalid URL of a proxy,
  /// and for certificates that cannot be used.
  HttpResponse get(const HttpRequest& request, const BodySink& sink) override;

 private:
  struct Cleanup {
    void operator()(CURL* easy) const noexcept { libcurl().easy_cleanup(easy); }
  };
  struct MultiCleanup {
    void operator()(CURLM* multi) const noexcept { libcurl().multi_cleanup(multi); }
  };

  template <typename Value>
  void set(CURLoption option, Value value);
  void set_up_protocol();
  void set_up_trust();
  void set_up_request(const HttpRequest& request, Exchange& exchange, curl_slist* headers);
  void set_up_method(const HttpRequest& request);
  void set_up_timeouts(const HttpRequest& request);
  void set_up_certificates(const Url& url, bool insecure);
  void set_up_proxy();
  [[nodiscard]] const HostCertificates& certificates_of(const Url& url);
  void note_closed(const std::filesystem::path& directory);
  [[nodiscard]] std::string base_authorities();
  void trace(const HttpRequest& request);
  [[nodiscard]] bool is_peer_public();
  CURLcode run();
  [[noreturn]] void fail(CURLcode code, const Url& url);
  [[nodiscard]] TransportFailure failure_of(CURLcode code);

  CurlOptions options_;
  std::unique_ptr<CURLM, MultiCleanup> multi_;  // Keeps the connections; outlives the easy handle.
  std::unique_ptr<CURL, Cleanup> easy_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  PeerPolicy peers_;
  std::chrono::seconds connect_timeout_{};  // of the current request, as the next two
  std::chrono::seconds stall_timeout_{};
  std::optional<Proxy> proxy_;
  std::map<std::string, HostCertificates> certificates_;  // by origin; read once
  std::set<std::filesystem::path> closed_;                // noted already
  std::set<std::string> reached_;                         // hosts
};

}  // namespace pyro
