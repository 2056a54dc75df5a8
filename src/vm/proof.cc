// Whether a machine does what it is for.
#include "vm/proof.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/whole_calls.h"
#include "vm/conversation.h"

namespace pyro {
namespace {

constexpr std::chrono::seconds kProofPatience{30};

/// A port of the host's that a guest on the user network is to find.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (!socket_ || ::bind(socket_.get(), generic, size) != 0 || ::listen(socket_.get(), 1) != 0 ||
        ::getsockname(socket_.get(), generic, &size) != 0) {
      throw system_error("cannot listen for the guest", errno);
    }
    port_ = ntohs(address.sin_port);
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  /// What the first to connect says.
  [[nodiscard]] std::string hear() const {
    const auto deadline = Clock::now() + std::chrono::seconds(5);
    if (!wait_to_read(socket_.get(), deadline)) return {};
    const Fd guest(
        uninterrupted([&] { return ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
    std::array<char, 256> words;
    if (!wait_to_read(guest.get(), deadline)) return {};
    const ssize_t got = ::read(guest.get(), words.data(), words.size());
    return {words.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  Fd socket_;
  std::uint16_t port_ = 0;
};

}  // namespace

void run_trivial(GuestLink& link) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  const RunOptions options{.machine = {},
                           .command = {"true"},
                           .output = null.get(),
                           .error_output = null.get(),
                           .timeout = std::chrono::milliseconds(kProofPatience),
                           .stop_timeout = {}};
  const CommandEnd end = run_command(link, options, {});
  if (end.interrupted) throw Error(ErrorCode::interrupted, "interrupted");
  if (end.code == 0 && end.signal == 0 && end.refused == 0 && !end.timed_out) return;
  throw Error(ErrorCode::failed, "'true' does not work in the guest" +
                                     (end.refusal.empty() ? "" : ": " + end.refusal));
}

void prove_network(GuestLink& link) {
  constexpr std::string_view kWords = "pyro";
  const Listener listener;
  reach_host(link, listener.port(), kWords, Clock::now() + kProofPatience);
  if (listener.hear() == kWords) return;
  throw Error(ErrorCode::failed, "the guest's network does not work");
}

}  // namespace pyro
