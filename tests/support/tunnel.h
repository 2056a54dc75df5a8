// Bytes between two sockets, for servers that stand between a client and another server.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <list>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "support/file_descriptor.h"

namespace pyro::testing {

/// Listens on 127.0.0.1 and a free port as long as it lives, and serves each connection in a thread
/// of its own; `serve` must return soon after a stop is requested.
class LoopbackServer {
 public:
  using Serve = std::function<void(int socket, const std::stop_token& stop)>;

  explicit LoopbackServer(Serve serve);
  ~LoopbackServer();
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  int port() const { return port_; }

 private:
  void accept_all(const std::stop_token& stop);

  Serve serve_;
  FileDescriptor listener_;
  int port_ = 0;
  std::list<std::jthread> connections_;
  std::jthread acceptor_;
};

/// Invalid if no socket listens there.
FileDescriptor connect_loopback(int port);

/// False at a stop.
bool wait_readable(int socket, const std::stop_token& stop);
bool send_all(int socket, std::string_view bytes);

/// Both ways until one side ends, or `may_pass` says no to so many more bytes from `server`.
void pump(int client, int server, const std::stop_token& stop,
          const std::function<bool(std::size_t)>& may_pass = {});

/// Stands before a server until so many bytes have come from it; then calls `on_limit`, breaks
/// every connection and takes no other.
class DyingRelay {
 public:
  DyingRelay(int server_port, std::size_t limit, std::function<void()> on_limit);

  int port() const { return server_.port(); }
  bool is_dead() const { return dead_; }

 private:
  void serve(int socket, const std::stop_token& stop);
  bool count(std::size_t bytes);

  const int server_port_;
  const std::size_t limit_;
  std::function<void()> on_limit_;
  std::atomic<std::size_t> passed_ = 0;
  std::atomic<bool> dead_ = false;
  LoopbackServer server_;  // last: it ends before what it uses
};

}  // namespace pyro::testing
