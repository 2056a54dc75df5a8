// Processor time that reading bytes from outside may take.
#include "time_budget.h"

#include <ctime>

#include "oracle.h"

namespace pyro::fuzz {

std::chrono::nanoseconds processor_time() {
  timespec now{};
  require(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0, "there is a clock");
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace pyro::fuzz
