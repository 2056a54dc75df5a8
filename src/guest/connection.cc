// Connections to ports of the guest.
#include "guest/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

/// It connects without a wait.
Descriptor connect_to_loopback(int family, std::uint16_t port) {
  Descriptor made(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  v4.sin_port = htons(port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  v6.sin6_port = htons(port);
  const bool is_v4 = family == AF_INET;
  const auto* const address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
  if (::connect(made.get(), address, size) != 0 && errno != EINPROGRESS) made.close();
  // Otherwise the answers of both ends wait for each other.
  const int on = 1;
  ::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return made;
}

class ConnectionTask : public Task {
 public:
  ConnectionTask(Channel& channel, std::uint16_t session, std::uint16_t port)
      : Task(channel, session), port_(port), socket_(connect_to_loopback(AF_INET, port)) {
    if (!socket_.is_open()) try_other_family(errno);
  }

  void obey(FrameType type, std::string_view payload) override {
    if (type != FrameType::input) return;
    if (payload.empty()) input_ended_ = true;
    pending_ += payload;
    if (is_connected_) feed();
  }

  void watch(pollfd (&fds)[kMaxWatched]) const override {
    const bool listens = is_connected_ && !output_ended_ && writer_.has_window();
    const bool speaks = !is_connected_ || !pending_.empty();
    const int events = (listens ? POLLIN : 0) | (speaks ? POLLOUT : 0);
    fds[0] = {events != 0 ? socket_.get() : -1, static_cast<short>(events), 0};
  }

  void go_on(const pollfd (&fds)[kMaxWatched]) override {
    if (fds[0].revents == 0) return;
    if (!is_connected_) return finish_connecting();
    if ((fds[0].revents & ~POLLIN) != 0) feed();
    if ((fds[0].revents & ~POLLOUT) != 0) forward();
  }

 private:
  void try_other_family(int error) {
    if (is_second_) return refuse(error);
    is_second_ = true;
    socket_ = connect_to_loopback(AF_INET6, port_);
    if (!socket_.is_open()) refuse(error);
  }

  void finish_connecting() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return try_other_family(error);
    is_connected_ = true;
    feed();
  }

  void refuse(int error) {
    writer_.write_fixed(FrameType::refused, RefusalPayload{error},
                        "cannot connect to port " + std::to_string(port_));
    end();
  }

  void feed() {
    while (!pending_.empty()) {
      const long put = ::send(socket_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
      if (put < 0 && errno == EAGAIN) return;
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return finish();
      pending_.erase(0, static_cast<std::size_t>(put));
      writer_.write_fixed(FrameType::taken, NumberPayload{static_cast<std::uint32_t>(put)});
    }
    if (!input_ended_) return;
    ::shutdown(socket_.get(), SHUT_WR);
    if (output_ended_) finish();
  }

  void forward() {
    if (has_ended() || output_ended_ || !writer_.has_window()) return;
    const long got = writer_.forward(FrameType::output, socket_.get());
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    if (got < 0) return finish();
    output_ended_ = true;
    writer_.write(FrameType::output);
    if (input_ended_ && pending_.empty()) finish();
  }

  void finish() {
    if (has_ended()) return;
    writer_.write(FrameType::done);
    end();
  }

  const std::uint16_t port_;
  Descriptor socket_;
  bool is_second_ = false;  ///< The second family is tried.
  bool is_connected_ = false;
  std::string pending_;  ///< Input that the port has not taken.
  bool input_ended_ = false;
  bool output_ended_ = false;
};

}  // namespace

std::unique_ptr<Task> start_connection(Channel& channel, std::uint16_t session,
                                       const ConnectPayload& connect) {
  return std::make_unique<ConnectionTask>(channel, session, connect.port);
}

}  // namespace pyro::guest
