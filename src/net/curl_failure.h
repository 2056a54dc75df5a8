// What libcurl's failures mean to people: whose they are, what can be done, and whether they pass.
#pragma once

#include <chrono>
#include <string>

#include "net/curl_library.h"
#include "net/url.h"
#include "pyro/error.h"

namespace pyro {

inline constexpr int kProxyLoginRequired = 407;

/// A transfer that failed, as libcurl tells of it.
struct TransportFailure {
  CURLcode code;
  std::string detail;       ///< In its words.
  std::string proxy;        ///< As it is shown; empty where there is none.
  long os_error = 0;        ///< errno of a connection that did not come about.
  long connect_status = 0;  ///< The proxy's answer to CONNECT.
  bool is_proxy_untrusted = false;
  bool was_connected = false;
  bool is_known = false;            ///< Whether this host was reached by an earlier request.
  std::chrono::seconds patience{};  ///< How long was waited for what did not come in time.
};

/// @throws NotTlsError; TransientError for what may pass; else Error(network). It names the host of
/// `url`, or the proxy where that is to blame.
[[noreturn]] void throw_transport_error(const TransportFailure& failure, const Url& url);

/// What to say of a proxy that answered `status` in the host's place.
[[nodiscard]] Error proxy_refusal(const std::string& proxy, long status);

}  // namespace pyro
