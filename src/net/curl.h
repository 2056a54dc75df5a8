// libcurl as the client uses it: its functions, loaded at the first request, and its failures in
// plain words.
//
// Loading libcurl brings 30 libraries along and takes longer than all else that `pyro env inspect`
// does, and most runs of pyro never need the network.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <string>

#include "net/url.h"
#include "pyro/error.h"

namespace pyro {

/// The functions in use, by their names without "curl_".
struct CurlLibrary {
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_strerror) multi_strerror;
  decltype(&::curl_multi_wakeup) multi_wakeup;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
};

/// Loads and initialises libcurl at the first call, for the rest of the process. Thread-safe.
/// @throws Error(failed) when this machine does not have it.
[[nodiscard]] const CurlLibrary& libcurl();

inline constexpr int kProxyLoginRequired = 407;

/// A failed transfer, as libcurl reports it.
struct TransportFailure {
  CURLcode code;
  std::string detail;       ///< The message of libcurl.
  std::string proxy;        ///< As messages show it; empty without one.
  long os_error = 0;        ///< errno of a failed connection.
  long connect_status = 0;  ///< The proxy's answer to CONNECT.
  bool is_proxy_untrusted = false;
  bool was_connected = false;
  bool is_known = false;           ///< Whether this host was reached by an earlier request.
  std::chrono::seconds timeout{};  ///< The limit that a transfer exceeded which took too long.
};

/// Explains `failure`, naming the host of `url`, or the proxy if that is to blame.
/// @throws NotTlsError; TransientError for a failure that may pass; else Error(network).
[[noreturn]] void throw_transport_error(const TransportFailure& failure, const Url& url);

/// The error for a proxy that answered `status` in place of the host.
[[nodiscard]] Error proxy_refusal(const std::string& proxy, long status);

}  // namespace pyro
