// Deadlines and timeouts of waiting with poll(2).
#pragma once

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "pyro/error.h"

namespace pyro {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

[[nodiscard]] inline std::chrono::microseconds elapsed_since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

/// How long a transfer may take.
struct Timeout {
  std::chrono::milliseconds idle{};  ///< The longest time without progress.
  Deadline end = {};                 ///< For the whole transfer.

  /// The deadline if there is no progress from now on.
  [[nodiscard]] Clock::time_point from_now() const {
    const auto idle_end = Clock::now() + idle;
    return end ? std::min(*end, idle_end) : idle_end;
  }

  /// Adds a hint to an error after `end`.
  void explain(Error& error) const {
    if (end && Clock::now() >= *end) {
      error.add_hint("copies may take as long as the command, and a minute at least");
    }
  }
};

/// When to stop waiting for a monitor.
struct ControlTimeout {
  Deadline deadline;
  std::stop_token stop;
};

/// The milliseconds until `deadline` for poll(2); -1 without one.
[[nodiscard]] inline int poll_timeout(Deadline deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

/// Waits until `fd` is readable or at its end; false after the deadline. Signals do not end it.
[[nodiscard]] inline bool wait_to_read(int fd, Deadline deadline) {
  pollfd ready{fd, POLLIN, 0};
  int found = 0;
  do {
    found = ::poll(&ready, 1, poll_timeout(deadline));
  } while (found < 0 && errno == EINTR);
  return found == 1;
}

}  // namespace pyro
