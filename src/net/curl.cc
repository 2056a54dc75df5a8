// libcurl: its functions, and its failures in plain words.
#include "net/curl.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/retry.h"
#include "pyro/error.h"

namespace pyro {
namespace {

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorCode::failed, "libcurl cannot be used: " + why, "install the package libcurl4");
}

void* open_library() {
  // The name with the version of the ABI, as the linker would have recorded it.
  void* const library = ::dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) fail(::dlerror());
  return library;
}

template <typename Function>
void load(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) fail(std::string("it has no ") + name);
}

CurlLibrary load_library() {
  void* const library = open_library();
  CurlLibrary curl{};
  load(library, "curl_easy_cleanup", curl.easy_cleanup);
  load(library, "curl_easy_getinfo", curl.easy_getinfo);
  load(library, "curl_easy_init", curl.easy_init);
  load(library, "curl_easy_setopt", curl.easy_setopt);
  load(library, "curl_easy_strerror", curl.easy_strerror);
  load(library, "curl_multi_add_handle", curl.multi_add_handle);
  load(library, "curl_multi_cleanup", curl.multi_cleanup);
  load(library, "curl_multi_info_read", curl.multi_info_read);
  load(library, "curl_multi_init", curl.multi_init);
  load(library, "curl_multi_perform", curl.multi_perform);
  load(library, "curl_multi_poll", curl.multi_poll);
  load(library, "curl_multi_remove_handle", curl.multi_remove_handle);
  load(library, "curl_multi_strerror", curl.multi_strerror);
  load(library, "curl_multi_wakeup", curl.multi_wakeup);
  load(library, "curl_slist_append", curl.slist_append);
  load(library, "curl_slist_free_all", curl.slist_free_all);
  decltype(&::curl_global_init) global_init = nullptr;
  load(library, "curl_global_init", global_init);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("it cannot be initialised");
  return curl;
}

/// The message for a code of libcurl; `{}` stands for the host.
struct Explanation {
  CURLcode code;
  std::string_view text;
  std::string_view hint;
  bool may_pass = false;
};

constexpr auto kExplanations = std::to_array<Explanation>({
    {CURLE_COULDNT_RESOLVE_HOST, "the name {} cannot be resolved",
     "check the spelling, and this machine's network and DNS; without a network, use what 'pyro "
     "env list --installed' shows, or 'pyro env import' a file",
     true},
    {CURLE_COULDNT_CONNECT, "cannot connect to {}", "check the network, and proxy settings if any",
     true},
    {CURLE_SSL_CONNECT_ERROR, "TLS with {} failed", ""},
    {CURLE_PEER_FAILED_VERIFICATION, "the certificate of {} is not trusted",
     "if it is signed by an authority of your own, name that one's PEM file with --ca-file or in "
     "SSL_CERT_FILE"},
    {CURLE_SSL_CACERT_BADFILE, "the trusted certificates cannot be read",
     "install the package ca-certificates, or name a PEM file with --ca-file or in SSL_CERT_FILE"},
    {CURLE_SSL_CERTPROBLEM, "the client certificate for {} cannot be used",
     "it is the pair of a .cert and a .key file in certs.d"},
    {CURLE_PARTIAL_FILE, "{} closed the connection in the middle of the answer", "", true},
    {CURLE_GOT_NOTHING, "{} closed the connection without an answer", "", true},
    {CURLE_RECV_ERROR, "the connection to {} broke", "", true},
    {CURLE_SEND_ERROR, "the connection to {} broke", "", true},
    {CURLE_WEIRD_SERVER_REPLY, "{} does not answer in HTTP", ""},
    {CURLE_UNSUPPORTED_PROTOCOL, "{} does not answer in HTTP", ""},
});

constexpr int kAnyNumber = std::numeric_limits<int>::max();

constexpr Explanation kUnexplained{CURLE_OK, "the request to {} failed", "", false};

std::string with_host(std::string_view text, const std::string& host) {
  std::string result(text);
  const std::size_t place = result.find("{}");
  if (place != std::string::npos) result.replace(place, 2, host);
  return result;
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(
      parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

bool is_not_tls(CURLcode code, std::string_view detail) {
  return code == CURLE_SSL_CONNECT_ERROR &&
         contains_any(detail, {"wrong version number", "http request", "packet length too long"});
}

bool is_cut_handshake(CURLcode code, std::string_view detail) {
  return code == CURLE_SSL_CONNECT_ERROR &&
         contains_any(detail, {"unexpected eof", "SSL_ERROR_SYSCALL", "reset by peer"});
}

bool wants_client_certificate(std::string_view detail) {
  return contains_any(detail, {"certificate required", "bad certificate"});
}

/// A more specific hint than the table has; empty for none.
std::string_view better_hint(const TransportFailure& failure) {
  const std::string_view detail = failure.detail;
  if (failure.code == CURLE_COULDNT_CONNECT && failure.os_error == ECONNREFUSED) {
    return "nothing listens there: check host and port, and proxy settings if any";
  }
  if (wants_client_certificate(detail)) {
    return "it wants to be shown a certificate: a .cert and a .key file in certs.d";
  }
  if (failure.code != CURLE_PEER_FAILED_VERIFICATION) return {};
  if (contains_any(detail, {"expired", "not yet valid"})) {
    return "check this machine's clock; if that is right, the server's certificate is out of date";
  }
  if (contains_any(detail, {"subject name", "does not match"})) {
    return "the certificate was made for another name: check the host";
  }
  if (!failure.proxy.empty()) {
    return "if the proxy opens what goes through it, name its authority's PEM file with --ca-file "
           "or in SSL_CERT_FILE";
  }
  return {};
}

[[noreturn]] void throw_timeout(const TransportFailure& failure, const std::string& peer) {
  const std::string what =
      failure.was_connected ? " sent less than 1 KiB/s for " : " could not be reached within ";
  throw TransientError(
      Error(ErrorCode::network, peer + what + std::to_string(failure.timeout.count()) + " s"));
}

/// Throws if the proxy failed, and not the host behind it.
void throw_proxy_error(const TransportFailure& failure) {
  const std::string& proxy = failure.proxy;
  if (failure.connect_status >= 300) {
    const Error error = proxy_refusal(proxy, failure.connect_status);
    if (is_transient(static_cast<int>(failure.connect_status))) throw TransientError(error);
    throw error;
  }
  Error error(ErrorCode::network, failure.detail, "check https_proxy, and the other settings");
  // For a socks proxy libcurl uses the codes that it has for hosts.
  const bool is_unresolved = failure.code == CURLE_COULDNT_RESOLVE_PROXY ||
                             (failure.code == CURLE_COULDNT_RESOLVE_HOST &&
                              failure.detail.ends_with(": " + proxy.substr(0, proxy.rfind(':'))));
  if (is_unresolved) {
    throw error.add_context("the name of the proxy " + proxy + " cannot be resolved");
  }
  if (failure.is_proxy_untrusted) {
    throw Error(ErrorCode::network, failure.detail,
                "name its authority's PEM file with --ca-file or in SSL_CERT_FILE")
        .add_context("the certificate of the proxy " + proxy + " is not trusted");
  }
  if (failure.code == CURLE_PROXY) {
    throw error.add_context("the proxy " + proxy + " does not let us through");
  }
  if (failure.code == CURLE_COULDNT_CONNECT) {
    throw TransientError(error.add_context("cannot connect to the proxy " + proxy));
  }
}

[[noreturn]] void throw_hosts_error(const TransportFailure& failure, const Url& url,
                                    const std::string& way) {
  const auto* known = std::ranges::find(kExplanations, failure.code, &Explanation::code);
  const Explanation& explanation = known == kExplanations.end() ? kUnexplained : *known;
  const std::string_view better = better_hint(failure);
  Error error(ErrorCode::network, failure.detail,
              std::string(better.empty() ? explanation.hint : better));
  const bool is_about_the_name = failure.code == CURLE_COULDNT_RESOLVE_HOST;
  error.add_context(
      with_host(explanation.text, (is_about_the_name ? url.host : url.authority()) + way));
  if (is_not_tls(failure.code, failure.detail)) throw NotTlsError(error);
  const bool may_pass = explanation.may_pass || is_cut_handshake(failure.code, failure.detail);
  if (!may_pass || wants_client_certificate(failure.detail)) throw error;
  // A name that was resolved before will be again. Another is probably misspelt, or there is no
  // network.
  const bool is_hopeless = is_about_the_name && !failure.is_known;
  throw TransientError(error, std::nullopt, is_hopeless ? 1 : kAnyNumber);
}

}  // namespace

const CurlLibrary& libcurl() {
  static const CurlLibrary curl = load_library();
  return curl;
}

Error proxy_refusal(const std::string& proxy, long status) {
  Error error(ErrorCode::network, "it answered " + std::to_string(status));
  if (status == kProxyLoginRequired) {
    error.add_context("the proxy " + proxy + " wants a user name and a password")
        .add_hint("write them into its URL, as in http://user:password@proxy:3128");
  } else {
    error.add_context("the proxy " + proxy + " refuses the connection")
        .add_hint("if the host is to be reached without a proxy, name it in no_proxy");
  }
  return error;
}

void throw_transport_error(const TransportFailure& failure, const Url& url) {
  const std::string way = failure.proxy.empty() ? "" : " (through the proxy " + failure.proxy + ")";
  if (failure.code == CURLE_OPERATION_TIMEDOUT) throw_timeout(failure, url.authority() + way);
  if (!failure.proxy.empty()) throw_proxy_error(failure);
  throw_hosts_error(failure, url, way);
}

}  // namespace pyro
