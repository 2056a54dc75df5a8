// For tests: a machine without a monitor, and the guest's end of its port in the test's hands.
#pragma once

#include <linux/sockios.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/files.h"
#include "guest/protocol.h"
#include "machine/guest_session.h"
#include "machine/monitor.h"

namespace pyro {

/// A frame as it goes over the port.
inline std::string frame_bytes(guest::FrameType type, std::string_view payload = {},
                               std::uint16_t session = guest::kControlSession) {
  const guest::FrameHeader header{static_cast<std::uint32_t>(payload.size()), type, 0, session};
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes.append(payload);
}

/// The bytes of a payload: its fixed part, then `rest`.
template <typename Payload>
std::string payload_bytes(const Payload& fixed, std::string_view rest = {}) {
  std::string bytes(sizeof fixed, '\0');
  std::memcpy(bytes.data(), &fixed, sizeof fixed);
  return bytes.append(rest);
}

class FakeGuest : public VirtualMachine {
 public:
  FakeGuest() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      throw std::runtime_error("socketpair failed");
    }
    host_ = Fd(ends[0]);
    guest_ = Fd(ends[1]);
    // The host may stop in the middle of a frame.
    constexpr timeval kWithinAFrame{.tv_sec = 240, .tv_usec = 0};
    ::setsockopt(guest_.get(), SOL_SOCKET, SO_RCVTIMEO, &kWithinAFrame, sizeof kWithinAFrame);
    ended_ = Fd(::eventfd(0, EFD_CLOEXEC));
    console_ = Fd(::eventfd(0, EFD_CLOEXEC));
  }

  ~FakeGuest() override {
    ::shutdown(host_.get(), SHUT_RDWR);  // what it hears ends
    if (life_.joinable()) life_.join();
  }
  FakeGuest(const FakeGuest&) = delete;
  FakeGuest& operator=(const FakeGuest&) = delete;

  // The host's view.
  [[nodiscard]] int channel() const noexcept override { return host_.get(); }
  [[nodiscard]] int console() const noexcept override { return console_.get(); }
  [[nodiscard]] int stderr_fd() const noexcept override { return -1; }
  [[nodiscard]] int process() const noexcept override { return ended_.get(); }
  void drain_output() override {}
  [[nodiscard]] std::string failure_line() const override {
    const std::lock_guard lock(mutex_);
    return words_;
  }
  [[nodiscard]] MachineEnd how_it_ended() override {
    const std::lock_guard lock(mutex_);
    return end_;
  }
  void save(int, const ControlTimeout&) override {
    if (save_fails_) throw Error(ErrorCode::failed, "no state for you");
  }
  void go_on(const ControlTimeout&) override {}
  void kill() noexcept override {}

  // The guest's.
  [[nodiscard]] int port() const noexcept { return guest_.get(); }
  void say_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::send(guest_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put < 0) throw std::runtime_error("the host does not listen");
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  void say(guest::FrameType type, std::string_view payload = {},
           std::uint16_t session = guest::kControlSession) {
    say_bytes(frame_bytes(type, payload, session));
  }
  template <typename Payload>
  void say_fixed(guest::FrameType type, const Payload& fixed, std::string_view rest = {}) {
    say(type, payload_bytes(fixed, rest));
  }

  /// Answers the next request of this type, whenever it comes.
  void answer(guest::FrameType request, guest::FrameType answer) {
    life_ = std::thread([this, request, answer] {
      if (const auto heard = hear_of(request)) say(answer, {}, heard->session);
    });
  }

  /// How many of `bytes` the port takes without a wait.
  std::size_t say_what_fits(std::string_view bytes) {
    const ssize_t put =
        ::send(guest_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return put < 0 ? 0 : static_cast<std::size_t>(put);
  }

  /// Says whole frames again and again, at the pace at which they are taken and granted. The host
  /// may stop reading at any time.
  void flood(std::string_view frames, const std::stop_token& over) {
    constexpr int kPollInterval = 10;  // ms
    std::size_t window = guest::kOutputWindow;
    std::string_view unsaid;
    while (!over.stop_requested()) {
      if (unsaid.empty() && window >= frames.size()) {
        window -= frames.size();
        unsaid = frames;
      }
      unsaid.remove_prefix(say_what_fits(unsaid));
      pollfd port{guest_.get(), static_cast<short>(POLLIN | (unsaid.empty() ? 0 : POLLOUT)), 0};
      const bool can_go_on = unsaid.empty() && window >= frames.size();
      ::poll(&port, 1, can_go_on ? 0 : kPollInterval);
      const auto heard = hear(0);
      if (!heard || heard->type != guest::FrameType::granted) continue;
      guest::NumberPayload granted;
      std::memcpy(&granted, heard->payload.data(), sizeof granted);
      window += granted.number;
    }
  }

  void fail_saves() { save_fails_ = true; }

  /// From now on there is always something on the console.
  void flood_console() { ::eventfd_write(console_.get(), 1); }

  struct Heard {
    guest::FrameType type{};
    std::string payload;
    std::uint16_t session = guest::kControlSession;
  };

  /// Until the host has read all that was said.
  void wait_until_taken() const {
    int unread = 0;
    while (::ioctl(guest_.get(), SIOCOUTQ, &unread) == 0 && unread > 0) ::usleep(1000);
  }

  static constexpr int kTimeout = 240'000;  ///< In milliseconds. What takes longer hangs.
  /// The next frame of the host; nothing when there is none for as long as `timeout`.
  std::optional<Heard> hear(int timeout = kTimeout) {
    pollfd ready{guest_.get(), POLLIN, 0};
    if (::poll(&ready, 1, timeout) != 1) return std::nullopt;
    guest::FrameHeader header;
    if (!read_all(&header, sizeof header)) return std::nullopt;
    Heard heard{header.type, std::string(header.size, '\0'), header.session};
    if (!read_all(heard.payload.data(), header.size)) return std::nullopt;
    return heard;
  }
  /// Passes over all before it.
  std::optional<Heard> hear_of(guest::FrameType type) {
    auto heard = hear();
    while (heard && heard->type != type) heard = hear();
    return heard;
  }

  void end(std::string failure_line = {}, MachineEnd end = {Loss::end, {}}) {
    {
      const std::lock_guard lock(mutex_);
      words_ = std::move(failure_line);
      end_ = std::move(end);
    }
    guest_.reset();
    ::eventfd_write(ended_.get(), 1);
  }

 private:
  bool read_all(void* to, std::size_t size) {
    return size == 0 || ::recv(guest_.get(), to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }

  Fd host_;
  Fd guest_;
  Fd ended_;
  Fd console_;
  mutable std::mutex mutex_;  ///< The guest may be another thread than the host.
  std::string words_;
  MachineEnd end_;
  bool save_fails_ = false;
  std::thread life_;
};

/// The host of a fake guest, and the session of the machine: its frames are kept from the start, so
/// that a guest may say all that it has to say beforehand.
struct FakeHost {
  FakeHost(FakeGuest& guest, const std::stop_token& stop)
      : connection(guest), session(connection, stop, GuestSession::Control()) {}

  GuestConnection connection;
  GuestSession session;
};

}  // namespace pyro
