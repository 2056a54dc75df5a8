// Processor time that reading bytes from outside may take: 1 s for 1 MiB of anything.
#pragma once

#include <chrono>
#include <cstddef>

namespace pyro::fuzz {

/// How much slower the code is under the sanitizers.
#ifdef PYRO_SANITIZED
inline constexpr int kSlowdown = 30;
#else
inline constexpr int kSlowdown = 1;
#endif

/// For an input of that size: in proportion, and with a floor for what does not depend on the size
/// (a window of 128 MiB, a thread).
[[nodiscard]] constexpr std::chrono::nanoseconds time_budget(std::size_t bytes) {
  using std::chrono::milliseconds;
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  return kSlowdown * (milliseconds(250) + milliseconds(1000) * bytes / kMiB);
}

/// Of all threads of this process. Wall-clock time would depend on what else the host does.
[[nodiscard]] std::chrono::nanoseconds processor_time();

}  // namespace pyro::fuzz
