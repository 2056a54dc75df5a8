// The oracle of time, around every fuzz target: the linker puts it between the driver and the
// target (--wrap in CMakeLists.txt), so no target can leave it out.
#include <cstdint>
#include <string>

#include "oracle.h"
#include "time_budget.h"

namespace pyro::fuzz {

namespace {

std::string milliseconds(std::chrono::nanoseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
         " ms";
}

/// The target's checks read the input several times.
constexpr int kReadings = 2;

void require_in_time(std::size_t size, std::chrono::nanoseconds taken) {
  const auto budget = kReadings * time_budget(size);
  if (taken <= budget) return;
  fail(std::to_string(size) + " bytes take " + milliseconds(taken) + " of processor time, " +
       milliseconds(budget) + " are allowed");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" {

int __real_LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int __wrap_LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int __wrap_LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto begin = pyro::fuzz::processor_time();
  const int result = __real_LLVMFuzzerTestOneInput(data, size);
  pyro::fuzz::require_in_time(size, pyro::fuzz::processor_time() - begin);
  return result;
}
}
