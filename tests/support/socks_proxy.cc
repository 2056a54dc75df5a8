// A SOCKS proxy for tests (RFC 1928).
#include "support/socks_proxy.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <optional>

namespace pyro::testing {
namespace {

constexpr char kVersion = 5;
constexpr char kConnect = 1;
constexpr char kByName = 3;
constexpr char kRefused = 5;

/// Exactly `size` bytes; empty where they do not come.
std::string receive(int client, std::size_t size, const std::stop_token& stop) {
  std::string bytes(size, '\0');
  for (std::size_t have = 0; have < size;) {
    if (!wait_readable(client, stop)) return {};
    const ssize_t got = ::recv(client, bytes.data() + have, size - have, 0);
    if (got <= 0) return {};
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::size_t number(char byte) {
  return static_cast<unsigned char>(byte);
}

struct Target {
  std::string name;
  int port = 0;
};

/// Sections 3 and 4: the greeting, answered with "no authentication", and the request.
std::optional<Target> negotiate(int client, const std::stop_token& stop) {
  const std::string greeting = receive(client, 2, stop);
  if (greeting.empty() || greeting[0] != kVersion) return std::nullopt;
  receive(client, number(greeting[1]), stop);
  send_all(client, {"\x05\x00", 2});
  const std::string request = receive(client, 5, stop);
  if (request.empty() || request[1] != kConnect || request[3] != kByName) return std::nullopt;
  const std::string name = receive(client, number(request[4]), stop);
  const std::string port = receive(client, 2, stop);
  if (name.empty() || port.empty()) return std::nullopt;
  return Target{name, static_cast<int>(number(port[0]) << 8 | number(port[1]))};
}

/// Section 6. The bound address is left empty.
void answer(int client, char reply) {
  const char bytes[] = {kVersion, reply, 0, 1, 0, 0, 0, 0, 0, 0};
  send_all(client, {bytes, sizeof bytes});
}

}  // namespace

SocksProxy::SocksProxy(std::uint8_t reply)
    : reply_(reply),
      server_([this](int client, const std::stop_token& stop) { serve(client, stop); }) {}

std::string SocksProxy::authority() const {
  return fmt::format("127.0.0.1:{}", server_.port());
}

std::vector<std::string> SocksProxy::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void SocksProxy::serve(int client, const std::stop_token& stop) {
  const auto target = negotiate(client, stop);
  if (!target) return;
  {
    const std::lock_guard lock(mutex_);
    seen_.push_back(fmt::format("{}:{}", target->name, target->port));
  }
  if (reply_ != 0) return answer(client, static_cast<char>(reply_));
  const FileDescriptor server = connect_loopback(target->port);
  if (!server) return answer(client, kRefused);
  answer(client, 0);
  pump(client, server.get(), stop);
}

}  // namespace pyro::testing
