// Ends pull, replacement, repair and prune before and after each of their changes to the file
// system. Without PYRO_LONG_TESTS at some of them only.
#include <gtest/gtest.h>

#include <iostream>

#include "crash/cache_check.h"
#include "crash/tracer.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kShortStep = 7;

struct Row {
  const char* name;
  Operation (InterruptedHarness::*prepare)();

  friend void PrintTo(const Row& self, std::ostream* out) { *out << self.name; }
};

class CrashRunTest : public InterruptedHarness, public ::testing::WithParamInterface<Row> {
 public:
  static constexpr auto kFirstInstall = &CrashRunTest::first_install;
  static constexpr auto kReplacement = &CrashRunTest::replacement;
  static constexpr auto kRepair = &CrashRunTest::repair;
  static constexpr auto kPruning = &CrashRunTest::pruning;

 protected:
  void save() const { copy(home(), saved()); }
  void restore() const {
    fs::remove_all(home());
    copy(saved(), home());
  }

 private:
  fs::path saved() const { return dir_ / "saved"; }
  static void copy(const fs::path& from, const fs::path& to) {
    run_checked({.argv = {"cp", "-a", from.string(), to.string()}});
  }
};

TEST_P(CrashRunTest, LeavesOldOrNewInstall) {
  const Operation operation = (this->*GetParam().prepare)();
  save();
  const int step = long_tests() ? 1 : kShortStep;
  Crash last{.ended = true};
  for (int n = 1; last.ended; n += step) {
    for (const Moment moment : {Moment::before, Moment::after}) {
      restore();
      last = crash_at(command(operation.words), home(), n, moment);
      if (!last.ended) break;
      SCOPED_TRACE((moment == Moment::before ? "before call " : "after call ") + std::to_string(n) +
                   ", " + last.at);
      expect_old_or_new(operation, last.reported);
      expect_recovery(operation);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(last.calls, 10);
  std::cout << GetParam().name << ": " << last.calls
            << " mutating calls, ended before and after every "
            << (step == 1 ? "one" : std::to_string(step) + "th") << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashRunTest,
                         ::testing::Values(Row{"Pull", CrashRunTest::kFirstInstall},
                                           Row{"Replace", CrashRunTest::kReplacement},
                                           Row{"Repair", CrashRunTest::kRepair},
                                           Row{"Prune", CrashRunTest::kPruning}),
                         row_name);

}  // namespace
}  // namespace pyro::testing
