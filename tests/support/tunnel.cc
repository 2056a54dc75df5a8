// Bytes between two sockets.
#include "support/tunnel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pyro::testing {
namespace {

constexpr int kLookInterval = 20;  // milliseconds between two looks at the stop token

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// False at its end.
bool pass_on(int from, int to, const std::function<bool(std::size_t)>& may_pass) {
  std::array<char, 64 << 10> buffer;
  const ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  const auto size = static_cast<std::size_t>(got);
  return (!may_pass || may_pass(size)) && send_all(to, {buffer.data(), size});
}

}  // namespace

LoopbackServer::LoopbackServer(Serve serve)
    : serve_(std::move(serve)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
}

LoopbackServer::~LoopbackServer() {
  acceptor_ = {};
  connections_.clear();
}

void LoopbackServer::accept_all(const std::stop_token& stop) {
  while (wait_readable(listener_.get(), stop)) {
    FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) continue;
    connections_.emplace_back([this, owned = std::move(socket)](const std::stop_token& own) {
      serve_(owned.get(), own);
    });
  }
}

FileDescriptor connect_loopback(int port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return {};
  }
  return socket;
}

bool wait_readable(int socket, const std::stop_token& stop) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  while (!stop.stop_requested()) {
    if (::poll(&waiting, 1, kLookInterval) > 0) return true;
  }
  return false;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void pump(int client, int server, const std::stop_token& stop,
          const std::function<bool(std::size_t)>& may_pass) {
  std::array<pollfd, 2> sides{{{.fd = client, .events = POLLIN, .revents = 0},
                               {.fd = server, .events = POLLIN, .revents = 0}}};
  while (!stop.stop_requested()) {
    if (::poll(sides.data(), sides.size(), kLookInterval) <= 0) continue;
    if (sides[0].revents != 0 && !pass_on(client, server, {})) return;
    if (sides[1].revents != 0 && !pass_on(server, client, may_pass)) return;
  }
}

DyingRelay::DyingRelay(int server_port, std::size_t limit, std::function<void()> on_limit)
    : server_port_(server_port),
      limit_(limit),
      on_limit_(std::move(on_limit)),
      server_([this](int socket, const std::stop_token& stop) { serve(socket, stop); }) {}

void DyingRelay::serve(int socket, const std::stop_token& stop) {
  if (dead_) return;
  const FileDescriptor server = connect_loopback(server_port_);
  if (server) pump(socket, server.get(), stop, [this](std::size_t bytes) { return count(bytes); });
}

bool DyingRelay::count(std::size_t bytes) {
  if ((passed_ += bytes) < limit_) return !dead_;
  if (!dead_.exchange(true)) on_limit_();
  return false;
}

}  // namespace pyro::testing
