// Published ports.
#include "machine/published_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "machine/guest_session.h"
#include "machine/nonblocking_writer.h"

namespace pyro {
namespace {

using guest::FrameType;

/// An address of a socket of either family.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* generic() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

/// @throws Error(usage)
SocketAddress parse_address(const std::string& text, std::uint16_t port) {
  SocketAddress address;
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof *v6;
  } else {
    throw Error(ErrorCode::usage, "'" + text + "' is no address of the host",
                "give one in numbers: 127.0.0.1, or [::1]");
  }
  return address;
}

std::string shown(const PortOptions& options) {
  const bool is_v6 = options.address.find(':') != std::string::npos;
  const std::string address = is_v6 ? '[' + options.address + ']' : options.address;
  return fmt::format("{}:{}", address, options.port);
}

Fd listen_at(const PortOptions& options) {
  const SocketAddress address = parse_address(options.address, options.port);
  Fd listener(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!listener || ::bind(listener.get(), address.generic(), address.size) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    const Error why = system_error("cannot listen at " + shown(options), errno);
    throw Error(ErrorCode::failed, why.what());
  }
  return listener;
}

std::uint16_t port_of(int listener) {
  sockaddr_in6 address{};  // the port of an IPv4 address stands at the same place
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin6_port);
}

/// Passes the bytes of a client on, both ways.
class PortSession {
 public:
  PortSession(GuestConnection& guest, int client, std::uint16_t guest_port,
              const std::stop_token& stop)
      : session_(guest, stop), client_(client), to_client_(client, std::nullopt) {
    session_.send_fixed(FrameType::connect, guest::ConnectPayload{.port = guest_port});
  }

  void run() {
    while (!session_.stop_requested()) {
      handle_frames();
      if (to_client_.consume_closed()) return;
      if (output_ended_ && to_client_.idle()) ::shutdown(client_, SHUT_WR);
      if (has_ended_ && to_client_.idle()) return;
      if (!wait()) return;
    }
  }

 private:
  void handle_frames() {
    while (!has_ended_ && to_client_.idle() && !session_.stop_requested()) {
      auto frame = session_.try_next();
      if (!frame) return;
      handle(*frame);
    }
  }

  void handle(GuestFrame frame) {
    switch (frame.type) {
      case FrameType::output:
        output_ended_ = output_ended_ || frame.payload.empty();
        return to_client_.write(frame.payload);
      case FrameType::taken:
        untaken_ -=
            std::min<std::size_t>(untaken_, fixed_part<guest::NumberPayload>(frame.payload).number);
        return;
      case FrameType::refused:
        reset_client();
        [[fallthrough]];
      case FrameType::done:
        has_ended_ = true;
        return;
      default:
        refuse_frame();
    }
  }

  // The client is told as if it had asked the guest: its connection is reset, and does not end.
  void reset_client() const {
    constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client_, SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset);
  }

  /// How many bytes of the client may be sent.
  [[nodiscard]] std::size_t window() const {
    return input_is_open_ ? guest::kInputWindow - untaken_ : 0;
  }

  /// False when the client is gone.
  bool wait() {
    std::array<pollfd, 2> fds = {
        {{window() > 0 ? client_ : -1, POLLIN, 0}, {to_client_.poll_fd(), POLLOUT, 0}}};
    session_.wait(fds, std::nullopt);
    if (fds[1].revents != 0) to_client_.flush();
    return fds[0].revents == 0 || read_client();
  }

  bool read_client() {
    std::array<char, guest::kStreamPiece> piece;
    const std::size_t most = std::min(piece.size(), window());
    const ssize_t got = ::recv(client_, piece.data(), most, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    const auto size = static_cast<std::size_t>(got);
    session_.send(FrameType::input, {piece.data(), size});
    untaken_ += size;
    if (size == 0) input_is_open_ = false;
    return true;
  }

  GuestSession session_;
  const int client_;
  NonBlockingWriter to_client_;
  bool input_is_open_ = true;
  bool output_ended_ = false;
  bool has_ended_ = false;
  std::size_t untaken_ = 0;
};

/// Of accept(2): this process may have no descriptor left.
constexpr std::chrono::milliseconds kPauseAfterFailure{20};

void serve_client(GuestConnection& guest, int client, std::uint16_t guest_port,
                  const std::stop_token& stop) try {
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  PortSession(guest, client, guest_port, stop).run();
} catch (const Error&) {  // NOLINT(bugprone-empty-catch): of the machine, which tells its caller.
}

}  // namespace

PortOptions parse_port_options(std::string_view text) {
  const std::size_t last = text.rfind(':');
  const std::string_view before = text.substr(0, last == text.npos ? 0 : last);
  const std::size_t colon = before.rfind(':');
  std::string_view address = colon == before.npos ? "127.0.0.1" : before.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  } else if (address.find(':') != address.npos) {
    address = {};  // "::1:80:80" may mean two things
  }
  const auto port = number_in<std::uint16_t>(before.substr(colon == before.npos ? 0 : colon + 1));
  const auto guest_port = number_in<std::uint16_t>(text.substr(last == text.npos ? 0 : last + 1));
  if (address.empty() || !port || guest_port.value_or(0) == 0) {
    throw Error(ErrorCode::usage,
                "'" + std::string(text) + "' is not of the form " + "[ADDRESS:]PORT:GUESTPORT");
  }
  PortOptions options{std::string(address), *port, *guest_port};
  static_cast<void>(parse_address(options.address, options.port));
  return options;
}

PublishedPort::PublishedPort(const PortOptions& options)
    : options_(options),
      listener_(listen_at(options)),
      wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_up_) throw system_error("cannot make an eventfd", errno);
  options_.port = port_of(listener_.get());
}

PublishedPort::~PublishedPort() {
  acceptor_.request_stop();
  ::eventfd_write(wake_up_.get(), 1);
  if (acceptor_.joinable()) acceptor_.join();
}

void PublishedPort::serve(GuestConnection& guest) {
  acceptor_ = std::jthread(
      [this, &guest](const std::stop_token& stop) { accept_connections(guest, stop); });
}

void PublishedPort::accept_connections(GuestConnection& guest, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const bool has_room = remove_ended();
    std::array<pollfd, 2> fds = {
        {{wake_up_.get(), POLLIN, 0}, {has_room ? listener_.get() : -1, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    eventfd_t events = 0;
    ::eventfd_read(wake_up_.get(), &events);
    if (fds[1].revents != 0) begin_connection(guest);
  }
  connections_.clear();  // stops their threads, and waits for them
}

void PublishedPort::begin_connection(GuestConnection& guest) {
  Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) {
    std::this_thread::sleep_for(kPauseAfterFailure);
    return;
  }
  Connection& connection = connections_.emplace_back();
  connection.thread = std::jthread(
      [this, &guest, &connection, client = std::move(client)](const std::stop_token& stop) mutable {
        serve_client(guest, client.get(), options_.guest_port, stop);
        client.reset();
        const std::lock_guard lock(mutex_);
        connection.has_ended = true;
        ::eventfd_write(wake_up_.get(), 1);
      });
}

bool PublishedPort::remove_ended() {
  std::list<Connection> ended;
  const std::lock_guard lock(mutex_);
  for (auto one = connections_.begin(); one != connections_.end();) {
    const auto next = std::next(one);
    if (one->has_ended) ended.splice(ended.end(), connections_, one);
    one = next;
  }
  return connections_.size() < kMaxConnections;
}

}  // namespace pyro
