// HTTP by libcurl.
#include "net/curl_client.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <new>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/oci_names.h"
#include "net/address.h"
#include "net/curl_library.h"
#include "net/exchange.h"
#include "net/redact.h"
#include "net/url.h"

namespace pyro {
namespace {

// What it hands out is 16 KiB a time whatever this is; more of it means fewer system calls.
constexpr long kReceiveBuffer = 512L << 10;
constexpr long kStallBytesPerSecond = 1024;

struct Release {
  void operator()(CURLM* multi) const noexcept { libcurl().multi_cleanup(multi); }
  void operator()(curl_slist* list) const noexcept { libcurl().slist_free_all(list); }
};
struct ReleaseEasy {  // CURL and CURLM are both void, so overloads cannot tell them apart.
  void operator()(CURL* easy) const noexcept { libcurl().easy_cleanup(easy); }
};
using Multi = std::unique_ptr<CURLM, Release>;
using Easy = std::unique_ptr<CURL, ReleaseEasy>;
using List = std::unique_ptr<curl_slist, Release>;

// libcurl is C: nothing may be thrown through it. Taking fewer bytes than offered ends a transfer.
std::size_t header_callback(char* data, std::size_t size, std::size_t count,
                            void* exchange) noexcept {
  auto& self = *static_cast<Exchange*>(exchange);
  try {
    self.take_header({data, size * count});
    return size * count;
  } catch (...) {
    self.park();
    return 0;
  }
}

std::size_t body_callback(char* data, std::size_t size, std::size_t count,
                          void* exchange) noexcept {
  auto& self = *static_cast<Exchange*>(exchange);
  try {
    return self.take_body(std::as_bytes(std::span(data, size * count))) ? size * count : 0;
  } catch (...) {
    self.park();
    return 0;
  }
}

/// Which addresses a request may connect to.
struct PeerPolicy {
  bool public_only = false;
  bool has_refused = false;
};

curl_socket_t open_socket(void* policy, curlsocktype, curl_sockaddr* address) noexcept {
  auto& self = *static_cast<PeerPolicy*>(policy);
  if (self.public_only && !is_public(address->addr)) {
    self.has_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// How libcurl's failures read here; `{}` stands for the host.
struct Explanation {
  CURLcode code;
  std::string_view text;
  std::string_view hint;
  bool may_pass = false;
};

constexpr auto kExplanations = std::to_array<Explanation>({
    {CURLE_COULDNT_RESOLVE_HOST, "the name {} cannot be resolved",
     "check the spelling, and this machine's network and DNS", true},
    {CURLE_COULDNT_RESOLVE_PROXY, "the proxy's name cannot be resolved", "check https_proxy"},
    {CURLE_COULDNT_CONNECT, "cannot connect to {}", "check the network, and proxy settings if any",
     true},
    {CURLE_SSL_CONNECT_ERROR, "TLS with {} failed", ""},
    {CURLE_PEER_FAILED_VERIFICATION, "the certificate of {} is not trusted",
     "if it is signed by an authority of your own, name that one's PEM file in SSL_CERT_FILE"},
    {CURLE_SSL_CACERT_BADFILE, "the trusted certificates cannot be read",
     "install the package ca-certificates, or name a PEM file in SSL_CERT_FILE"},
    {CURLE_PARTIAL_FILE, "{} closed the connection in the middle of the answer", "", true},
    {CURLE_GOT_NOTHING, "{} closed the connection without an answer", "", true},
    {CURLE_RECV_ERROR, "the connection to {} broke", "", true},
    {CURLE_SEND_ERROR, "the connection to {} broke", "", true},
    {CURLE_WEIRD_SERVER_REPLY, "{} does not answer in HTTP", ""},
    {CURLE_UNSUPPORTED_PROTOCOL, "{} does not answer in HTTP", ""},
});

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

/// What is known better than the table's hint.
std::string_view better_hint(CURLcode code, std::string_view detail, long os_error) {
  if (code == CURLE_COULDNT_CONNECT && os_error == ECONNREFUSED) {
    return "nothing listens there: check host and port, and proxy settings if any";
  }
  if (code != CURLE_PEER_FAILED_VERIFICATION) return {};
  if (contains_any(detail, {"expired", "not yet valid"})) {
    return "check this machine's clock; if that is right, the server's certificate is out of date";
  }
  if (contains_any(detail, {"subject name", "does not match"})) {
    return "the certificate was made for another name: check the host";
  }
  return {};
}

[[noreturn]] void throw_transport_error(CURLcode code, const Url& url, std::string detail,
                                        long os_error) {
  const auto* known = std::ranges::find(kExplanations, code, &Explanation::code);
  const Explanation& explanation = known == kExplanations.end() ? kUnexplained : *known;
  if (detail.empty()) detail = libcurl().easy_strerror(code);
  if (os_error != 0 && code == CURLE_COULDNT_CONNECT) {
    detail = std::generic_category().message(static_cast<int>(os_error));
  }
  const std::string_view better = better_hint(code, detail, os_error);
  Error error(ErrorCode::network, detail, std::string(better.empty() ? explanation.hint : better));
  const bool is_about_the_name = code == CURLE_COULDNT_RESOLVE_HOST;
  error.add_context(with_host(explanation.text, is_about_the_name ? url.host : url.authority()));
  if (is_not_tls(code, detail)) throw NotTlsError(error);
  if (explanation.may_pass || is_cut_handshake(code, detail)) throw TransientError(error);
  throw error;
}

/// @throws Error(failed) for a field that would break out of its line.
void append(List& list, const std::string& name, const std::string& value) {
  const std::string line = name + ": " + value;
  if (contains_any(line, {"\r", "\n", std::string_view("\0", 1)})) {
    throw Error(ErrorCode::failed, "the header field " + name + " holds a control character");
  }
  curl_slist* const longer = libcurl().slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

List header_list(const HttpHeaders& headers) {
  List list;
  append(list, "Accept-Encoding", "identity");
  for (const auto& [name, value] : headers.fields()) append(list, name, value);
  return list;
}

}  // namespace

struct CurlClient::Impl {
  explicit Impl(CurlOptions given);

  HttpResponse get(const HttpRequest& request, const BodySink& sink);

 private:
  template <typename Value>
  void set(CURLoption option, Value value);
  void set_up_protocol();
  void set_up_trust();
  void set_up_request(const Url& url, Exchange& exchange, curl_slist* headers);
  void set_up_method(const HttpRequest& request);
  [[nodiscard]] bool is_peer_public();
  CURLcode perform();
  CURLcode run();
  [[noreturn]] void fail(CURLcode code, const Url& url);

  CurlOptions options_;
  Multi multi_;  // Keeps the connections; outlives the easy handle.
  Easy easy_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  PeerPolicy peers_;
};

CurlClient::Impl::Impl(CurlOptions given) : options_(std::move(given)) {
  multi_.reset(libcurl().multi_init());
  easy_.reset(libcurl().easy_init());
  if (!multi_ || !easy_) throw std::bad_alloc();
  set_up_protocol();
  set_up_trust();
}

template <typename Value>
void CurlClient::Impl::set(CURLoption option, Value value) {
  const CURLcode result = libcurl().easy_setopt(easy_.get(), option, value);
  if (result != CURLE_OK) {
    throw Error(ErrorCode::failed, "libcurl refuses option " + std::to_string(option) + ": " +
                                       libcurl().easy_strerror(result));
  }
}

void CurlClient::Impl::set_up_protocol() {
  set(CURLOPT_PROTOCOLS_STR, "https,http");
  set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout.count()));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, detail_.data());
  set(CURLOPT_HEADERFUNCTION, header_callback);
  set(CURLOPT_WRITEFUNCTION, body_callback);
  set(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(CURLOPT_OPENSOCKETDATA, &peers_);
}

void CurlClient::Impl::set_up_trust() {
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options_.ca_file && !options_.ca_directory) return;
  const auto path = [](const auto& option) { return option ? option->c_str() : nullptr; };
  set(CURLOPT_CAINFO, path(options_.ca_file));
  set(CURLOPT_CAPATH, path(options_.ca_directory));
}

void CurlClient::Impl::set_up_request(const Url& url, Exchange& exchange, curl_slist* headers) {
  set(CURLOPT_URL, url.to_string().c_str());
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_HEADERDATA, &exchange);
  set(CURLOPT_WRITEDATA, &exchange);
  // An empty proxy overrules the environment: what is meant for this machine, in plain http too,
  // must not travel to another.
  set(CURLOPT_PROXY, is_loopback(url.host) ? "" : static_cast<const char*>(nullptr));
  detail_[0] = '\0';
}

// Each method takes back what the others set.
void CurlClient::Impl::set_up_method(const HttpRequest& request) {
  const std::string& form = request.form;
  if (form.empty()) {
    set(request.head_only ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
  } else {
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(form.size()));
    set(CURLOPT_POSTFIELDS, form.c_str());
  }
  // libcurl sends a request again by itself when a connection that it kept turns out to be dead.
  set(CURLOPT_FRESH_CONNECT, form.empty() ? 0L : 1L);
}

HttpResponse CurlClient::Impl::get(const HttpRequest& request, const BodySink& sink) {
  const auto url = Url::parse(request.url);
  if (!url) throw Error(ErrorCode::network, "not an http or https URL: " + redact(request.url));
  Exchange exchange(request, sink);
  const List headers = header_list(request.headers);
  set_up_request(*url, exchange, headers.get());
  set_up_method(request);
  peers_ = {.public_only = request.public_peers_only};
  const CURLcode code = perform();
  exchange.rethrow();
  if (code != CURLE_OK && !exchange.is_answered_no()) fail(code, *url);
  HttpResponse response = exchange.take_response();
  response.url = request.url;
  response.from_public_peer = is_peer_public();
  return response;
}

bool CurlClient::Impl::is_peer_public() {
  const char* address = nullptr;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &address);
  return address != nullptr && is_public(std::string(address));
}

CURLcode CurlClient::Impl::perform() {
  if (libcurl().multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK) {
    throw Error(ErrorCode::failed, "libcurl does not take a transfer");
  }
  struct Removal {
    Impl& self;
    ~Removal() { libcurl().multi_remove_handle(self.multi_.get(), self.easy_.get()); }
  } const removal{*this};
  return run();
}

// curl_easy_perform() would sleep for up to a second before it noticed a request to stop.
CURLcode CurlClient::Impl::run() {
  const std::stop_callback wake(options_.stop, [this] { libcurl().multi_wakeup(multi_.get()); });
  for (int running = 1; running > 0;) {
    if (options_.stop.stop_requested()) {
      set(CURLOPT_QUICK_EXIT, 1L);  // A name lookup that hangs is left behind, not waited for.
      throw Error(ErrorCode::interrupted, "interrupted");
    }
    CURLMcode result = libcurl().multi_perform(multi_.get(), &running);
    if (result == CURLM_OK && running > 0) {
      result = libcurl().multi_poll(multi_.get(), nullptr, 0, 1000, nullptr);
    }
    if (result != CURLM_OK) throw Error(ErrorCode::failed, libcurl().multi_strerror(result));
  }
  int more = 0;
  const CURLMsg* const message = libcurl().multi_info_read(multi_.get(), &more);
  return message != nullptr ? message->data.result : CURLE_OK;
}

void CurlClient::Impl::fail(CURLcode code, const Url& url) {
  if (peers_.has_refused) {
    throw Error(ErrorCode::network,
                url.authority() + " is an address of this machine or of its own network",
                "a registry on the internet sent us there; it must not");
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    double connected = 0;
    libcurl().easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME, &connected);
    const auto limit = connected > 0 ? options_.stall_timeout : options_.connect_timeout;
    const std::string what =
        connected > 0 ? " sent less than 1 KiB/s for " : " could not be reached within ";
    throw TransientError(
        Error(ErrorCode::network, url.authority() + what + std::to_string(limit.count()) + " s"));
  }
  long os_error = 0;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &os_error);
  throw_transport_error(code, url, detail_.data(), os_error);
}

CurlClient::CurlClient(CurlOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
CurlClient::~CurlClient() = default;
CurlClient::CurlClient(CurlClient&&) noexcept = default;
CurlClient& CurlClient::operator=(CurlClient&&) noexcept = default;

HttpResponse CurlClient::get(const HttpRequest& request, const BodySink& sink) {
  return impl_->get(request, sink);
}

}  // namespace pyro
