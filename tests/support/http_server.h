// A small HTTP/1.1 server on loopback that can misbehave in every way a response describes.
//
// Why not cpp-httplib: it adds its own Content-Length to a false one, gives handlers no hold of the
// socket (so no reset, no missing close_notify, no 1xx answers, no broken heads), and stopping it
// takes up to five seconds while a client keeps an idle connection.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "support/certificates.h"
#include "support/channel.h"
#include "support/file_descriptor.h"
#include "support/http_message.h"

namespace pyro::testing {

struct HttpServerOptions {
  std::optional<KeyPair> tls = {};  ///< Plain http without.
  /// Clients must show a certificate of this authority.
  std::filesystem::path client_authority = {};
  bool silent = false;  ///< Accepts connections and never says a byte.
};

/// Listens from construction to destruction, on 127.0.0.1 and a free port, with a thread for each
/// connection. The handler is called from these threads.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  HttpServer(const HttpServerOptions& options, Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  /// What `hold_after` holds by now goes on.
  void release() { ++releases_; }

  int port() const { return port_; }
  /// "localhost:PORT", or with another name of this machine.
  std::string host(const std::string& name = "localhost") const;
  /// "https://localhost:PORT"
  std::string url(const std::string& name = "localhost") const;

  int connections() const { return connections_; }
  /// Peers that did not speak TLS, or refused the certificate during the handshake. (For a wrong
  /// host name clients may finish the handshake first and then go without a request.)
  int failed_handshakes() const { return failed_handshakes_; }

 private:
  struct Connection {
    std::thread thread;
    int descriptor = -1;  // guarded by mutex_; -1 when about to be closed
    bool done = false;    // guarded by mutex_
  };

  void listen();
  void accept_all();
  void start(FileDescriptor socket);
  void join_finished();
  void serve(Connection& connection, FileDescriptor socket);
  void forget_descriptor(Connection& connection);
  Ending converse(Channel& channel);
  HttpResponse handle(const HttpRequest& request);
  std::optional<HttpRequest> read_request(Channel& channel, std::string& pending);
  bool respond(Channel& channel, const HttpRequest& request, const HttpResponse& response);
  bool send_body(Channel& channel, const HttpResponse& response);
  bool pause(std::chrono::milliseconds time);

  const bool silent_;
  SslContextHandle tls_;
  Handler handler_;
  FileDescriptor listener_;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::atomic<int> failed_handshakes_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;  // guarded by mutex_
  std::atomic<int> releases_ = 0;
  std::list<Connection> open_;
  std::thread acceptor_;
};

/// A port of 127.0.0.1 without a listener, for as long as this process lives.
int unused_port();

}  // namespace pyro::testing
