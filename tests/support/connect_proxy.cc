// An HTTP proxy for tests.
#include "support/connect_proxy.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "support/hash.h"
#include "support/http_message.h"

namespace pyro::testing {
namespace {

/// Empty when none comes.
std::string read_head(int client, const std::stop_token& stop) {
  std::string head;
  std::array<char, 4096> buffer;
  while (head.find("\r\n\r\n") == std::string::npos) {
    if (!wait_readable(client, stop)) return {};
    const ssize_t got = ::recv(client, buffer.data(), buffer.size(), 0);
    if (got <= 0) return {};
    head.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return head;
}

/// "host:port" of a CONNECT's target, or of a URL.
std::string authority_of(const std::string& target) {
  const std::size_t scheme = target.find("://");
  if (scheme == std::string::npos) return target;
  return target.substr(scheme + 3, target.find('/', scheme + 3) - scheme - 3);
}

int port_of(const std::string& authority) {
  const std::size_t colon = authority.rfind(':');
  return colon == std::string::npos ? 80 : std::stoi(authority.substr(colon + 1));
}

/// As the server itself would be asked, and once.
std::string without_authority(std::string head, const std::string& target) {
  const std::size_t path = target.find('/', target.find("://") + 3);
  head.replace(head.find(target), target.size(),
               path == std::string::npos ? "/" : target.substr(path));
  return head.insert(head.find("\r\n") + 2, "Connection: close\r\n");
}

}  // namespace

ConnectProxy::ConnectProxy(ConnectProxyOptions options)
    : options_(std::move(options)),
      server_([this](int client, const std::stop_token& stop) { serve(client, stop); }) {}

std::string ConnectProxy::authority() const {
  return fmt::format("127.0.0.1:{}", server_.port());
}

std::string ConnectProxy::url(const std::string& login) const {
  return "http://" + (login.empty() ? "" : login + "@") + authority();
}

std::vector<ConnectProxy::Seen> ConnectProxy::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::optional<std::string> ConnectProxy::refusal(const Seen& request) const {
  if (options_.refuse_with) {
    return fmt::format("HTTP/1.1 {} No\r\nContent-Length: 0\r\n\r\n", *options_.refuse_with);
  }
  if (options_.login.empty() || request.authorization == "Basic " + base64(options_.login)) {
    return std::nullopt;
  }
  return "HTTP/1.1 407 Proxy Authentication Required\r\n"
         "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n\r\n";
}

void ConnectProxy::serve(int client, const std::stop_token& stop) {
  const std::string head = read_head(client, stop);
  const auto request = parse_request(head);
  if (!request) return;
  const Seen seen{request->method, request->target,
                  request->header("Proxy-Authorization").value_or("")};
  {
    const std::lock_guard lock(mutex_);
    seen_.push_back(seen);
  }
  if (const auto answer = refusal(seen)) {
    send_all(client, *answer);
    return;
  }
  const bool is_tunnel = request->method == "CONNECT";
  const int asked = port_of(authority_of(request->target));
  const FileDescriptor server = connect_loopback(options_.divert_to.value_or(asked));
  if (!server) {
    send_all(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  if (is_tunnel) {
    send_all(client, "HTTP/1.1 200 Connected\r\n\r\n");
  } else {
    send_all(server.get(), without_authority(head, request->target));
  }
  pump(client, server.get(), stop);
}

}  // namespace pyro::testing
