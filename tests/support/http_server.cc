// A small HTTP/1.1 server on loopback that can misbehave in every way a response describes.
#include "support/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <utility>
#include <vector>

namespace pyro::testing {
namespace {

constexpr std::size_t kMaxRequest = 16 << 20;
constexpr std::size_t kPiece = 64 << 10;
/// Between two bytes of an answer that is held: its reader must not give it up as stalled.
constexpr std::chrono::milliseconds kHeldPause{50};

sockaddr_in loopback_address(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

FileDescriptor bind_free_port() {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback_address(0);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot bind a loopback port");
  }
  return socket;
}

int port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// OpenSSL writes without MSG_NOSIGNAL. Blocked in our own threads only: the code under test must
// see to its own signals.
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void wait_for_end(Channel& channel) {
  std::array<char, 4096> ignored;
  while (channel.read(ignored.data(), ignored.size()) > 0) {
  }
}

// Closed with something unread in it, a connection is reset, and the last word is lost.
void let_it_read(int socket) {
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4096> ignored;
  while (::recv(socket, ignored.data(), ignored.size(), 0) > 0) {
  }
}

std::size_t content_length(const HttpRequest& request) {
  const std::string text = request.header("Content-Length").value_or("0");
  std::size_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

bool length_is_truthful(const HttpResponse& response) {
  if (response.raw_head) return false;
  if (response.chunked) return true;
  const auto declared = find_header(response.headers, "Content-Length");
  if (!declared) return response.declare_length;
  return *declared == std::to_string(response.body.size() * response.repeat_body);
}

bool must_close(const HttpRequest& request, const HttpResponse& response) {
  return response.ending != Ending::keep_alive || response.cut_after.has_value() ||
         !length_is_truthful(response) || request.version == "HTTP/1.0" ||
         request.header("Connection").value_or("") == "close";
}

struct Pace {
  std::size_t piece_size;
  std::chrono::milliseconds pause;
};

Pace pace_of(const HttpResponse& response, std::size_t sent, bool released) {
  const std::size_t usual = response.piece_size == 0 ? kPiece : response.piece_size;
  if (!response.hold_after || released) return {usual, response.piece_delay};
  if (sent >= *response.hold_after) return {1, kHeldPause};
  return {std::min(usual, *response.hold_after - sent), response.piece_delay};
}

}  // namespace

HttpServer::HttpServer(const HttpServerOptions& options, Handler handler)
    : silent_(options.silent), handler_(std::move(handler)) {
  if (options.tls) tls_ = server_context(options.tls->certificate, options.tls->key);
  if (!options.client_authority.empty()) require_client(tls_.get(), options.client_authority);
  listen();
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const Connection& connection : open_) {
      if (connection.descriptor >= 0) ::shutdown(connection.descriptor, SHUT_RDWR);
    }
  }
  stopped_.notify_all();
  ::shutdown(listener_.get(), SHUT_RDWR);  // wakes accept()
  acceptor_.join();
  for (Connection& connection : open_) connection.thread.join();
}

std::string HttpServer::host(const std::string& name) const {
  return fmt::format("{}:{}", name, port_);
}

std::string HttpServer::url(const std::string& name) const {
  return (tls_ ? "https://" : "http://") + host(name);
}

void HttpServer::listen() {
  listener_ = bind_free_port();
  if (::listen(listener_.get(), SOMAXCONN) != 0) throw std::runtime_error("cannot listen");
  port_ = port_of(listener_.get());
}

void HttpServer::accept_all() {
  block_sigpipe();
  while (true) {
    FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket && errno != ECONNABORTED && errno != EINTR) return;
    if (socket) start(std::move(socket));
  }
}

void HttpServer::start(FileDescriptor socket) {
  ++connections_;
  join_finished();
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  Connection& connection = open_.emplace_back();
  connection.descriptor = socket.get();
  connection.thread = std::thread([this, &connection, owned = std::move(socket)]() mutable {
    serve(connection, std::move(owned));
  });
}

void HttpServer::join_finished() {
  std::list<Connection> finished;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = open_.begin(); it != open_.end();) {
      const auto next = std::next(it);
      if (it->done) finished.splice(finished.end(), open_, it);
      it = next;
    }
  }
  for (Connection& connection : finished) connection.thread.join();
}

void HttpServer::serve(Connection& connection, FileDescriptor socket) {
  block_sigpipe();
  Channel channel(std::move(socket), silent_ ? nullptr : tls_.get());
  Ending ending = Ending::close;
  if (silent_) {
    wait_for_end(channel);
  } else if (channel.handshake()) {
    ending = converse(channel);
  } else {
    ++failed_handshakes_;
    let_it_read(channel.descriptor());
  }
  forget_descriptor(connection);
  channel.end(ending);
  const std::lock_guard lock(mutex_);
  connection.done = true;
}

// Before it is closed: the number may be reused right after.
void HttpServer::forget_descriptor(Connection& connection) {
  const std::lock_guard lock(mutex_);
  connection.descriptor = -1;
}

Ending HttpServer::converse(Channel& channel) {
  std::string pending;
  while (const auto request = read_request(channel, pending)) {
    const HttpResponse response = handle(*request);
    if (!respond(channel, *request, response)) return response.ending;
  }
  return Ending::close;
}

HttpResponse HttpServer::handle(const HttpRequest& request) {
  try {
    return handler_(request);
  } catch (const std::exception& error) {
    return {.status = 500, .body = fmt::format("the test's server failed: {}\n", error.what())};
  }
}

// std::nullopt at the end of the connection, or when what came is no HTTP (a TLS hello, say).
std::optional<HttpRequest> HttpServer::read_request(Channel& channel, std::string& pending) {
  std::array<char, 16384> buffer;
  const auto more = [&] {
    const std::size_t got = channel.read(buffer.data(), buffer.size());
    pending.append(buffer.data(), got);
    return got > 0 && pending.size() < kMaxRequest;
  };
  while (pending.find("\r\n\r\n") == std::string::npos) {
    const bool hopeless = !pending.empty() && (pending[0] < 'A' || pending[0] > 'Z');
    if (hopeless) channel.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    if (hopeless || !more()) return std::nullopt;
  }
  const std::size_t head_size = pending.find("\r\n\r\n") + 4;
  auto request = parse_request(std::string_view(pending).substr(0, head_size));
  if (!request) return std::nullopt;
  const std::size_t whole = head_size + content_length(*request);
  while (pending.size() < whole) {
    if (!more()) return std::nullopt;
  }
  request->body = pending.substr(head_size, whole - head_size);
  pending.erase(0, whole);
  return request;
}

// False when the connection is to end.
bool HttpServer::respond(Channel& channel, const HttpRequest& request,
                         const HttpResponse& response) {
  const bool close = must_close(request, response);
  if (!pause(response.delay)) return false;
  if (!channel.write(response.preamble + render_head(response, close))) return false;
  if (request.method == "HEAD") return !close;
  return send_body(channel, response) && !close;
}

// False when it was not sent to its end.
bool HttpServer::send_body(Channel& channel, const HttpResponse& response) {
  std::size_t left = response.cut_after.value_or(response.body.size() * response.repeat_body);
  const int releases = releases_;
  std::size_t sent = 0;
  for (std::size_t round = 0; round < response.repeat_body && left > 0; ++round) {
    for (std::size_t at = 0; at < response.body.size() && left > 0;) {
      const Pace pace = pace_of(response, sent, releases != releases_);
      const std::string_view piece =
          std::string_view(response.body).substr(at, std::min(pace.piece_size, left));
      left -= std::min(left, piece.size());
      at += piece.size();
      sent += piece.size();
      const bool written = response.chunked
                               ? channel.write(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece))
                               : channel.write(piece);
      if (!written || !pause(pace.pause)) return false;
    }
  }
  if (response.chunked && !response.cut_after) return channel.write("0\r\n\r\n");
  return true;
}

// False when the server is being stopped.
bool HttpServer::pause(std::chrono::milliseconds time) {
  if (time.count() == 0) return true;
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [this] { return stopping_; });
}

int unused_port() {
  static std::mutex mutex;
  static std::vector<FileDescriptor> held;  // bound, but not listened at
  const std::lock_guard lock(mutex);
  return port_of(held.emplace_back(bind_free_port()).get());
}

}  // namespace pyro::testing
