// Frames to a guest and from it, and waiting for them: the host's end of guest/protocol.h. What
// comes from there may be anything.
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
#include "vm/machine_lost.h"
#include "vm/monitor.h"

namespace pyro {

struct GuestFrame {
  guest::FrameType type{};
  std::string_view payload;  ///< Valid until the next wait.
};

/// How long something may take that goes on for as long as the guest moves.
struct Patience {
  std::chrono::milliseconds stillness{};  ///< The longest that it may keep still.
  Deadline end = {};                      ///< For all of it, however much it moves.

  /// When to give the guest up if nothing moves from now on.
  [[nodiscard]] Clock::time_point from_now() const {
    const auto still = Clock::now() + stillness;
    return end ? std::min(*end, still) : still;
  }

  /// Adds to a failure what it came of when there was no time left.
  void explain(Error& error) const {
    if (end && Clock::now() >= *end) {
      error.add_hint("copies may take as long as the command, and a minute at least");
    }
  }
};

/// What a MachineLost says when a deadline passed.
inline constexpr const char* kNoSign = "the guest gave no sign in time";

class GuestLink {
 public:
  static constexpr std::size_t kMostOthers = 4;

  GuestLink(Machine& machine, const std::stop_token& stop);

  void send(guest::FrameType type, std::string_view payload = {});

  template <typename Payload>
  void send_fixed(guest::FrameType type, const Payload& fixed, std::string_view rest = {}) {
    std::string payload(sizeof fixed, '\0');
    std::memcpy(payload.data(), &fixed, sizeof fixed);
    payload += rest;
    send(type, payload);
  }

  /// Bytes that the guest has yet to take.
  [[nodiscard]] std::size_t unsent() const noexcept { return out_.size() - sent_; }
  /// Waits until there is little of them.
  /// @throws Error(interrupted); MachineLost when the guest takes none for so long
  void send_all(const Patience& patience);

  /// The next frame that has arrived in full.
  /// @throws Error(failed) for what is no frame, MachineLost, and when the guest gives up.
  [[nodiscard]] std::optional<GuestFrame> take();

  /// Waits until a frame may be there, one of `others` is ready, or a stop is requested; false
  /// once the deadline has passed, whatever there is: who never stops talking has no more time.
  /// `others` are at most kMostOthers.
  bool wait(std::span<pollfd> others, Deadline deadline);

  /// The next frame, however long it takes.
  /// @throws Error(interrupted); MachineLost after the deadline.
  GuestFrame next(Deadline deadline = {});

  [[nodiscard]] bool stop_requested() const noexcept { return stop_.stop_requested(); }
  /// The same, but true only once: the caller deals with the stop, and nothing else ends for it.
  [[nodiscard]] bool take_stop() noexcept {
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
  std::size_t received_ = 0;  ///< So much of it holds something,
  std::size_t taken_ = 0;     ///< of which so much is no longer needed.
  bool ended_ = false;
};

/// Says that the guest does not keep to the protocol, and in `what` how.
/// @throws Error(failed)
[[noreturn]] void refuse_frame(std::string_view what = {});

/// For a text of the caller's that the guest uses as a C string.
/// @throws Error(usage) when there is a zero byte in it: the guest would see less of it
void require_no_zero_byte(std::string_view text);

/// A path, or what a guest says, for messages: of a very long one the beginning and the end.
[[nodiscard]] std::string shortened(std::string_view text);

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
