// The host's end of the channel to a guest (guest/protocol.h). Everything from a guest is
// untrusted.
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

#include "base/files.h"
#include "guest/protocol.h"
#include "vm/deadline.h"
#include "vm/monitor.h"

namespace pyro {

struct GuestFrame {
  guest::FrameType type{};
  std::string_view payload;  ///< Valid until the next wait.
};

/// The message of a MachineLost after a deadline.
inline constexpr const char* kNoSign = "the guest gave no sign in time";

class GuestLink {
 public:
  static constexpr std::size_t kMaxOthers = 4;

  GuestLink(Machine& machine, const std::stop_token& stop);

  void send(guest::FrameType type, std::string_view payload = {});

  template <typename Payload>
  void send_fixed(guest::FrameType type, const Payload& fixed, std::string_view rest = {}) {
    std::string payload(sizeof fixed, '\0');
    std::memcpy(payload.data(), &fixed, sizeof fixed);
    payload += rest;
    send(type, payload);
  }

  /// Bytes that are not sent yet.
  [[nodiscard]] std::size_t unsent() const noexcept { return out_.size() - sent_; }
  /// Waits until few bytes are unsent.
  /// @throws Error(interrupted); MachineLost after the timeout
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
  void flush();
  bool wait_flushed(std::span<pollfd> others, Deadline deadline);
  [[nodiscard]] std::size_t untaken() const noexcept { return received_ - taken_; }
  void receive();
  [[noreturn]] void lost(const std::string& what);

  Machine& machine_;
  std::stop_token stop_;
  Fd wake_up_;
  std::stop_callback<std::function<void()>> on_stop_;
  std::string out_;
  std::size_t sent_ = 0;
  std::unique_ptr<char[]> in_;
  std::size_t received_ = 0;  ///< Bytes in `in_`.
  std::size_t taken_ = 0;     ///< Bytes at its start that were consumed.
  bool ended_ = false;
};

/// Reports a violation of the protocol.
/// @throws Error(failed)
[[noreturn]] void refuse_frame(std::string_view what = {});

/// For texts that the guest uses as C strings.
/// @throws Error(usage) for a text with a zero byte
void require_no_zero_byte(std::string_view text);

/// A path or a text of the guest for messages: of a long one the beginning and the end.
[[nodiscard]] std::string shortened(std::string_view text);

/// Waits until a kernel has booted. Returns whether its machine can be saved as a kernel state.
/// @throws Error(failed) for another version of the protocol; as GuestLink::next()
[[nodiscard]] bool wait_for_kernel(GuestLink& link, Deadline deadline);

/// Starts a session: sets the clock, random numbers and host name of the guest.
/// @throws Error(failed) for another version of the protocol; as GuestLink::next()
void handshake(GuestLink& link, std::string_view host_name, Deadline deadline);

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
