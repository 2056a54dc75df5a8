// Tests of short writes, in pyro and in its extractor.
#include <gtest/gtest.h>

#include <algorithm>

#include "crash/cache_check.h"
#include "crash/tracer.h"

namespace pyro::testing {
namespace {

class ShortWritesTest : public InterruptedHarness {
 protected:
  /// Shortens every write to half of its bytes. Returns the number of writes.
  int run_with_short_writes(const std::vector<std::string>& words) const {
    int shortened = 0;
    const auto decide = [&](const SystemCall& call, Moment moment) {
      const bool is_write = call.name == "write" || call.name == "pwrite64";
      if (!is_write || moment == Moment::after) return Verdict::go_on;
      ++shortened;
      return Verdict::shorten;
    };
    const Trace traced = trace(command(words), home(), decide);
    EXPECT_EQ(traced.exit_code, 0) << traced.err;
    return shortened;
  }
};

TEST_F(ShortWritesTest, PullCompletesShortWrites) {
  const Operation install = first_install();
  EXPECT_GT(run_with_short_writes(install.words), 30);
  expect_installed(install.after);
  expect_old_or_new(install, true);
}

TEST_F(ShortWritesTest, RepairCompletesShortWrites) {
  const Operation operation = repair();
  EXPECT_GT(run_with_short_writes(operation.words), 30);
  expect_installed(operation.after);
  expect_old_or_new(operation, true);
}

}  // namespace
}  // namespace pyro::testing
