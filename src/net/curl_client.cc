// HTTP by libcurl.
#include "net/curl_client.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>
#include <span>
#include <system_error>
#include <utility>

namespace pyro {
namespace {

// libcurl passes on 16 KiB at a time in any case; a larger buffer saves system calls.
constexpr long kReceiveBuffer = 512L << 10;
constexpr long kStallBytesPerSecond = 1024;
// Timeouts of a host with an alternative.
constexpr std::chrono::seconds kShortConnectTimeout{5};
constexpr std::chrono::seconds kShortStallTimeout{10};

struct Release {
  void operator()(curl_slist* list) const noexcept { libcurl().slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, Release>;

// No exception may pass through libcurl, which is C. Returning fewer bytes than given ends a
// transfer.
std::size_t header_callback(char* data, std::size_t size, std::size_t count,
                            void* exchange) noexcept {
  auto& self = *static_cast<Exchange*>(exchange);
  try {
    self.on_header({data, size * count});
    return size * count;
  } catch (...) {
    self.keep_exception();
    return 0;
  }
}

std::size_t body_callback(char* data, std::size_t size, std::size_t count,
                          void* exchange) noexcept {
  auto& self = *static_cast<Exchange*>(exchange);
  try {
    return self.on_body(std::as_bytes(std::span(data, size * count))) ? size * count : 0;
  } catch (...) {
    self.keep_exception();
    return 0;
  }
}

curl_socket_t open_socket(void* policy, curlsocktype, curl_sockaddr* address) noexcept {
  auto& self = *static_cast<PeerPolicy*>(policy);
  if (self.public_only && !is_public(address->addr)) {
    self.has_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// Checks kept connections too, which were opened for an earlier request.
int check_peer(void* policy, char* address, char*, int, int) noexcept {
  auto& self = *static_cast<PeerPolicy*>(policy);
  if (!self.public_only || is_public(std::string_view(address))) return CURL_PREREQFUNC_OK;
  self.has_refused = true;
  return CURL_PREREQFUNC_ABORT;
}

/// @throws Error(failed) for a field with a line break or zero byte.
void append(List& list, const std::string& name, const std::string& value) {
  const std::string line = name + ": " + value;
  if (line.find_first_of(std::string_view("\r\n\0", 3)) != line.npos) {
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

CurlClient::CurlClient(CurlOptions options) : options_(std::move(options)) {
  multi_.reset(libcurl().multi_init());
  easy_.reset(libcurl().easy_init());
  if (!multi_ || !easy_) throw std::bad_alloc();
  set_up_protocol();
  set_up_trust();
}

template <typename Value>
void CurlClient::set(CURLoption option, Value value) {
  const CURLcode result = libcurl().easy_setopt(easy_.get(), option, value);
  if (result != CURLE_OK) {
    throw Error(ErrorCode::failed, "libcurl refuses option " + std::to_string(option) + ": " +
                                       libcurl().easy_strerror(result));
  }
}

void CurlClient::set_up_protocol() {
  set(CURLOPT_PROTOCOLS_STR, "https,http");
  set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  // Size and digest of a body are those of its encoded form.
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
  set(CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, detail_.data());
  set(CURLOPT_HEADERFUNCTION, header_callback);
  set(CURLOPT_WRITEFUNCTION, body_callback);
  set(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(CURLOPT_OPENSOCKETDATA, &peers_);
  set(CURLOPT_PREREQFUNCTION, check_peer);
  set(CURLOPT_PREREQDATA, &peers_);
}

void CurlClient::set_up_trust() {
  const NetworkOptions& network = options_.network;
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (network.ca_file) static_cast<void>(read_certificates(*network.ca_file));
  if (!network.ca_file && !network.ca_directory) return;
  const auto path = [](const auto& option) { return option ? option->c_str() : nullptr; };
  set(CURLOPT_CAINFO, path(network.ca_file));
  set(CURLOPT_CAPATH, path(network.ca_directory));
  set(CURLOPT_PROXY_CAINFO, path(network.ca_file));
  set(CURLOPT_PROXY_CAPATH, path(network.ca_directory));
}

void CurlClient::set_up_request(const HttpRequest& request, Exchange& exchange,
                                curl_slist* headers) {
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_HEADERDATA, &exchange);
  set(CURLOPT_WRITEDATA, &exchange);
  set_up_timeouts(request);
  set_up_proxy();
  // The proxy decides which addresses it connects to, and may itself be in the local network.
  peers_ = {.public_only = request.public_peers_only && !proxy_};
  detail_[0] = '\0';
}

// Each of the three options reverts the others.
void CurlClient::set_up_method(const HttpRequest& request) {
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

void CurlClient::set_up_timeouts(const HttpRequest& request) {
  connect_timeout_ = options_.connect_timeout;
  stall_timeout_ = options_.stall_timeout;
  if (request.has_alternative) {
    connect_timeout_ = std::min(connect_timeout_, kShortConnectTimeout);
    stall_timeout_ = std::min(stall_timeout_, kShortStallTimeout);
  }
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(connect_timeout_.count()));
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_timeout_.count()));
}

// Always set: by default libcurl reads the environment.
void CurlClient::set_up_proxy() {
  set(CURLOPT_NOPROXY, "");
  set(CURLOPT_PROXY, proxy_ ? proxy_->url().c_str() : "");
  const bool has_login = proxy_ && !(proxy_->username.empty() && proxy_->password.empty());
  set(CURLOPT_PROXYUSERNAME, has_login ? proxy_->username.c_str() : nullptr);
  set(CURLOPT_PROXYPASSWORD, has_login ? proxy_->password.c_str() : nullptr);
}

void CurlClient::set_up_certificates(const Url& url, bool insecure) {
  set(CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
  set(CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
  const HostCertificates& own = certificates_of(url);
  const auto path = [](const auto& option) { return option ? option->c_str() : nullptr; };
  set(CURLOPT_SSLCERT, path(own.client_certificate));
  set(CURLOPT_SSLKEY, path(own.client_key));
  set(CURLOPT_KEYPASSWD, "");  // else OpenSSL asks at the terminal
  std::string all = own.authorities.empty() ? "" : base_authorities() + own.authorities;
  curl_blob blob{.data = all.data(), .len = all.size(), .flags = CURL_BLOB_COPY};
  set(CURLOPT_CAINFO_BLOB, all.empty() ? nullptr : &blob);
}

const HostCertificates& CurlClient::certificates_of(const Url& url) {
  const std::string origin = url.scheme + "://" + url.authority();
  const auto known = certificates_.find(origin);
  if (known != certificates_.end()) return known->second;
  HostCertificates found;
  if (url.scheme == "https") {
    found = find_host_certificates(options_.network.certificate_directories, url);
    std::ranges::for_each(found.closed, [&](const auto& directory) { note_closed(directory); });
  }
  return certificates_.emplace(origin, std::move(found)).first->second;
}

void CurlClient::note_closed(const std::filesystem::path& directory) {
  if (!closed_.insert(directory).second || !options_.note) return;
  options_.note("no certificates are taken from " + directory.string() +
                ", which this user may not look into");
}

/// The authorities that libcurl would read from a file, which a blob replaces. Its directory stays
/// in use.
std::string CurlClient::base_authorities() {
  if (options_.network.ca_file) return read_certificates(*options_.network.ca_file) + "\n";
  if (options_.network.ca_directory) return {};
  const char* bundle = nullptr;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_CAINFO, &bundle);
  if (bundle == nullptr || !std::filesystem::exists(bundle)) return {};
  return read_certificates(bundle) + "\n";
}

HttpResponse CurlClient::get(const HttpRequest& request, const BodySink& sink) {
  const auto url = Url::parse(request.url);
  if (!url) throw Error(ErrorCode::network, "not an http or https URL: " + redact(request.url));
  if (options_.network.offline) {
    throw Error(ErrorCode::network, "offline: " + url->authority() + " is not asked",
                "'pyro env export' on a machine with a network writes a file that 'pyro env "
                "import' reads without");
  }
  Exchange exchange(request, sink);
  const List headers = header_list(request.headers);
  proxy_ = choose_proxy(options_.network, *url);
  set(CURLOPT_URL, url->to_string().c_str());
  set_up_request(request, exchange, headers.get());
  set_up_method(request);
  set_up_certificates(*url, request.insecure);
  const CURLcode code = run();
  trace(request);
  exchange.rethrow();
  if (code != CURLE_OK && !exchange.is_refusal()) fail(code, *url);
  HttpResponse response = exchange.take_response();
  if (proxy_ && response.status == kProxyLoginRequired) {
    throw proxy_refusal(proxy_->authority(), response.status);
  }
  reached_.insert(url->host);
  response.url = request.url;
  response.from_public_peer = is_peer_public();
  return response;
}

void CurlClient::trace(const HttpRequest& request) {
  if (!options_.trace) return;
  long status = 0;
  curl_off_t bytes = 0;
  double seconds = 0;
  const char* address = nullptr;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  libcurl().easy_getinfo(easy_.get(), CURLINFO_SIZE_DOWNLOAD_T, &bytes);
  libcurl().easy_getinfo(easy_.get(), CURLINFO_TOTAL_TIME, &seconds);
  libcurl().easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &address);
  if (address == nullptr || *address == '\0') address = "no address";
  const char* const method = request.head_only ? "HEAD" : request.form.empty() ? "GET" : "POST";
  options_.trace(fmt::format("{} {}: {}, {} bytes in {:.3f} s from {}{}", method,
                             redact(request.url),
                             status != 0 ? std::to_string(status) : "no answer", bytes, seconds,
                             address, proxy_ ? " through " + proxy_->authority() : ""));
}

bool CurlClient::is_peer_public() {
  const char* address = nullptr;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &address);
  return address != nullptr && is_public(std::string_view(address));
}

// curl_easy_perform() would notice a request to stop only after up to a second.
CURLcode CurlClient::run() {
  if (libcurl().multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK) {
    throw Error(ErrorCode::failed, "libcurl does not take a transfer");
  }
  struct Removal {
    CurlClient& self;
    ~Removal() { libcurl().multi_remove_handle(self.multi_.get(), self.easy_.get()); }
  } const removal{*this};
  const std::stop_callback wake(options_.stop, [this] { libcurl().multi_wakeup(multi_.get()); });
  for (int running = 1; running > 0;) {
    if (options_.stop.stop_requested()) {
      set(CURLOPT_QUICK_EXIT, 1L);  // do not wait for a name lookup that hangs
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

void CurlClient::fail(CURLcode code, const Url& url) {
  if (peers_.has_refused) {
    throw Error(ErrorCode::network,
                url.authority() + " is an address of this machine or of its own network",
                "a registry on the internet sent us there; it must not");
  }
  TransportFailure failure = failure_of(code);
  failure.is_known = reached_.contains(url.host);
  if (failure.was_connected) reached_.insert(url.host);
  throw_transport_error(failure, url);
}

TransportFailure CurlClient::failure_of(CURLcode code) {
  TransportFailure failure{.code = code,
                           .detail = detail_.data(),
                           .proxy = proxy_ ? proxy_->authority() : std::string()};
  double connected = 0;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME, &connected);
  libcurl().easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &failure.os_error);
  libcurl().easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &failure.connect_status);
  long proxy_verdict = 0;
  libcurl().easy_getinfo(easy_.get(), CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy_verdict);
  failure.is_proxy_untrusted = code == CURLE_PEER_FAILED_VERIFICATION && proxy_verdict != 0;
  failure.was_connected = connected > 0;
  failure.timeout = failure.was_connected ? stall_timeout_ : connect_timeout_;
  if (failure.detail.empty()) failure.detail = libcurl().easy_strerror(code);
  if (failure.os_error != 0 && code == CURLE_COULDNT_CONNECT) {
    failure.detail = std::generic_category().message(static_cast<int>(failure.os_error));
  }
  return failure;
}

CurlOptions client_options(const NetworkOptions& network, std::stop_token stop,
                           ProgressListener* progress) {
  CurlOptions options{
      .network = network, .user_agent = "pyro/" PYRO_VERSION, .stop = std::move(stop)};
  if (progress == nullptr) return options;
  options.trace = [progress](std::string_view text) { progress->detail(text); };
  options.note = [progress](std::string_view text) { progress->note(text); };
  return options;
}

}  // namespace pyro
