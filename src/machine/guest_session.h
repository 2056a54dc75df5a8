// Sessions with a guest (guest/protocol.h): each is one request, and one is about the machine.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "guest/protocol.h"
#include "machine/deadline.h"
#include "machine/guest_connection.h"

namespace pyro {

struct GuestFrame {
  guest::FrameType type{};
  std::string_view payload;  ///< Valid until the next wait.
};

/// One session of a connection: frames, sent and received by the thread that has it.
class GuestSession {
 public:
  static constexpr std::size_t kMaxOthers = 4;

  /// A new one for a request, which the guest ends when this is destroyed.
  GuestSession(GuestConnection& connection, const std::stop_token& stop);
  /// That of the machine.
  struct Control {};
  GuestSession(GuestConnection& connection, const std::stop_token& stop, Control);
  /// One that was adopted.
  struct Adopted {
    std::uint16_t number = 0;
  };
  GuestSession(GuestConnection& connection, const std::stop_token& stop, Adopted adopted);
  ~GuestSession();
  GuestSession(const GuestSession&) = delete;
  GuestSession& operator=(const GuestSession&) = delete;

  [[nodiscard]] std::uint16_t number() const noexcept { return queues_->number; }

  void send(guest::FrameType type, std::string_view payload = {});

  template <typename Payload>
  void send_fixed(guest::FrameType type, const Payload& fixed, std::string_view rest = {}) {
    std::string payload(sizeof fixed, '\0');
    std::memcpy(payload.data(), &fixed, sizeof fixed);
    payload += rest;
    send(type, payload);
  }

  /// Bytes that go with the next send_all(), wait() or next().
  [[nodiscard]] std::size_t collected() const noexcept { return out_.size(); }
  /// Bytes that are not sent yet.
  [[nodiscard]] std::size_t unsent() const;
  /// Waits until few bytes are unsent, or there is a frame.
  /// @throws Error(interrupted); MachineLost after the timeout; as try_next()
  void send_all(const Timeout& timeout);

  /// The next frame, if it has arrived.
  /// @throws Error(failed) for an invalid frame or a fatal error of the guest; MachineLost
  [[nodiscard]] std::optional<GuestFrame> try_next();

  /// Waits until a frame may be there, one of `others` (at most kMaxOthers) is ready, or a stop is
  /// requested. False after the deadline, even when there is a frame: a flood must not extend it.
  bool wait(std::span<pollfd> others, Deadline deadline);

  /// Waits for the next frame.
  /// @throws Error(interrupted); MachineLost after the deadline.
  GuestFrame next(Deadline deadline = {});

  [[nodiscard]] bool stop_requested() const noexcept { return stop_.stop_requested(); }
  /// The same, but clears the request: the caller handles it.
  [[nodiscard]] bool consume_stop() noexcept {
    const bool requested = stop_requested();
    if (requested) stop_ = {};
    return requested;
  }

 private:
  GuestSession(GuestConnection& connection, const std::stop_token& stop,
               std::shared_ptr<SessionQueues> queues);
  void flush();
  bool wait_flushed(std::span<pollfd> others, Deadline deadline);
  void grant(std::size_t bytes);
  void note_end();
  [[nodiscard]] bool has_frame();

  GuestConnection& connection_;
  const std::shared_ptr<SessionQueues> queues_;
  std::stop_token stop_;
  std::stop_callback<std::function<void()>> on_stop_;
  std::string out_;
  std::string in_;
  std::size_t taken_ = 0;      ///< Bytes of `in_` that were consumed.
  std::size_t to_grant_ = 0;   ///< Bytes of the window that were consumed.
  bool is_requested_ = false;  ///< The guest has something to do for it.
  bool has_ended_ = false;     ///< The guest takes no more frames for it.
};

/// For texts that the guest uses as C strings.
/// @throws Error(usage) for a text with a zero byte
void require_no_zero_byte(std::string_view text);

/// Waits until a kernel has booted. Returns whether its machine can be saved as a kernel state.
/// @throws Error(failed) for another version of the protocol; as GuestSession::next()
[[nodiscard]] bool wait_for_kernel(GuestSession& link, Deadline deadline);

/// Sets the clock, random numbers and host name of the guest, which ends what it did for another
/// host, but for the sessions that were adopted.
/// @throws Error(failed) for another version of the protocol; as GuestSession::next()
void handshake(GuestSession& link, std::string_view host_name, Deadline deadline);

/// The fixed part of a payload; the rest stays in `payload`.
/// @throws Error(failed) when it is shorter
template <typename Payload>
Payload fixed_part(std::string_view& payload) {
  if (payload.size() < sizeof(Payload)) refuse_frame();
  Payload result{};
  std::memcpy(&result, payload.data(), sizeof result);
  payload.remove_prefix(sizeof result);
  return result;
}

}  // namespace pyro
