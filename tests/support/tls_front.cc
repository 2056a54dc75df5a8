// TLS in front of a server that speaks none.
#include "support/tls_front.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "support/channel.h"

namespace pyro::testing {
namespace {

// A whole record fits, so that none is left where poll() does not see it.
constexpr std::size_t kPiece = 32 << 10;
constexpr int kStopInterval = 20;  // milliseconds between two looks at the stop token

// OpenSSL writes without MSG_NOSIGNAL.
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// False at its end.
bool pass_in(Channel& client, int server) {
  std::array<char, kPiece> buffer;
  const std::size_t got = client.read(buffer.data(), buffer.size());
  return got > 0 && send_all(server, {buffer.data(), got});
}

bool pass_out(int server, Channel& client) {
  std::array<char, kPiece> buffer;
  const ssize_t got = ::recv(server, buffer.data(), buffer.size(), 0);
  return got > 0 && client.write({buffer.data(), static_cast<std::size_t>(got)});
}

}  // namespace

TlsFront::TlsFront(const KeyPair& keys, int port)
    : target_(port),
      tls_(server_context(keys.certificate, keys.key)),
      server_([this](int client, const std::stop_token& stop) { serve(client, stop); }) {}

void TlsFront::serve(int socket, const std::stop_token& stop) {
  block_sigpipe();
  Channel client(FileDescriptor(::dup(socket)), tls_.get());
  if (!wait_readable(socket, stop) || !client.handshake()) return;
  const FileDescriptor server = connect_loopback(target_);
  std::array<pollfd, 2> sides{{{.fd = socket, .events = POLLIN, .revents = 0},
                               {.fd = server.get(), .events = POLLIN, .revents = 0}}};
  while (server && !stop.stop_requested()) {
    if (::poll(sides.data(), sides.size(), kStopInterval) <= 0) continue;
    if (sides[0].revents != 0 && !pass_in(client, server.get())) return;
    if (sides[1].revents != 0 && !pass_out(server.get(), client)) return;
  }
}

}  // namespace pyro::testing
