// Points in time that waiting ends at.
#pragma once

#include <chrono>
#include <optional>

namespace pyro {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

/// For poll(2): until then, or for ever.
[[nodiscard]] int poll_timeout(Deadline deadline);

/// Waits until there is something to be read from it, an end at least; false when the deadline came
/// first. Signals do not end it.
[[nodiscard]] bool wait_to_read(int fd, Deadline deadline);

}  // namespace pyro
