// Points in time that waiting ends at.
#include "vm/deadline.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace pyro {

int poll_timeout(Deadline deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

bool wait_to_read(int fd, Deadline deadline) {
  pollfd ready{fd, POLLIN, 0};
  int found = 0;
  do {
    found = ::poll(&ready, 1, poll_timeout(deadline));
  } while (found < 0 && errno == EINTR);
  return found == 1;
}

}  // namespace pyro
