// For tables of the worst inputs that are known of each parser: 1 MiB of them takes at most 1 s.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "pyro/error.h"
#include "time_budget.h"

namespace pyro::fuzz {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;

struct WorstInput {
  const char* name;
  /// Accepts or rejects the input: the result is tested elsewhere.
  void (*parse)(const std::string& text);
  std::function<std::string()> make;

  friend void PrintTo(const WorstInput& self, std::ostream* out) { *out << self.name; }
};

/// `unit` as often as it fits into 1 MiB between `head` and `tail`.
inline std::string filled(std::string_view unit, std::string_view head = {},
                          std::string_view tail = {}) {
  std::string text(head);
  while (text.size() + unit.size() + tail.size() <= kMiB) text += unit;
  return text.append(tail);
}

/// The same with units that contain their number.
inline std::string numbered(const std::function<std::string(std::size_t number)>& unit,
                            std::string_view head = {}, std::string_view tail = {}) {
  std::string text(head);
  for (std::size_t number = 0;; ++number) {
    const std::string next = unit(number);
    if (text.size() + next.size() + tail.size() > kMiB) return text.append(tail);
    text += next;
  }
}

class ParsingTimeTest : public ::testing::TestWithParam<WorstInput> {};

inline void expect_in_time(const WorstInput& input) {
  const std::string text = input.make();
  ASSERT_GT(text.size(), kMiB * 9 / 10) << "it is not what the budget is for";
  ASSERT_LE(text.size(), kMiB);
  double taken = std::numeric_limits<double>::max();
  // The fastest of three: a processor that is shared with others is slower at times.
  for (int run = 0; run < 3 && taken > kSlowdown; ++run) {
    const auto begin = processor_time();
    try {
      input.parse(text);
    } catch (const Error& error) {
      EXPECT_LT(std::string_view(error.what()).size(), 2 * kMiB);
    }
    taken = std::min(taken, std::chrono::duration<double>(processor_time() - begin).count());
  }
  ::testing::Test::RecordProperty("processor_time", std::to_string(taken));
  EXPECT_LE(taken, kSlowdown) << "seconds of processor time";
}

}  // namespace pyro::fuzz
