// Cuts the power before and after each fsync and rename of an install: what the file system has not
// written by then is lost. Without PYRO_LONG_TESTS at some of them only.
//
// The cache is on a file system in a file. A copy of that file, made while the file system is
// mounted, has the bytes that were submitted to the device, without those that are in memory only.
// (Devices that lose acknowledged writes are not modelled.)
#include <gtest/gtest.h>

#include <iostream>

#include "crash/cache_check.h"
#include "crash/tracer.h"
#include "scenarios/private_mount.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kShortPowerStep = 9;

struct FileSystem {
  const char* name;
  std::vector<std::string> make;
  std::uint64_t size;

  friend void PrintTo(const FileSystem& self, std::ostream* out) { *out << self.name; }
};

bool is_step(const SystemCall& call) {
  return call.effect == Effect::sync || call.effect == Effect::rename;
}

class PowerLossTest : public InterruptedHarness, public ::testing::WithParamInterface<FileSystem> {
 protected:
  void SetUp() override {
    InterruptedHarness::SetUp();
    if (IsSkipped()) return;
    if (!find_program(GetParam().make[0])) GTEST_SKIP() << "no " << GetParam().make[0];
    make_file_system();
    if (!mount(base())) {
      GTEST_SKIP() << "needs the right to mount, a loop device, and a kernel that knows "
                   << GetParam().name;
    }
  }

  fs::path base() const { return dir_ / "base.img"; }
  fs::path work() const { return dir_ / "work.img"; }
  fs::path cut() const { return dir_ / "cut.img"; }

  std::unique_ptr<PrivateMount> mount(const fs::path& image) const {
    return PrivateMount::image(image, home() / ".cache", GetParam().name);
  }

  static void copy(const fs::path& from, const fs::path& to) {
    run_checked({.argv = {"cp", "--sparse=always", from.string(), to.string()}});
  }

  struct Cut {
    bool happened = false;
    bool reported = false;
    int moments = 0;
    std::string at = "after its end";
  };

  /// Runs the command up to the n-th moment before or after a step, or to its end; then the power
  /// goes.
  Cut run_and_cut(const Operation& operation, int n, const OnCall& otherwise = {}) const {
    copy(base(), work());
    const auto mounted = mount(work());
    EXPECT_TRUE(mounted);
    Cut result;
    const auto decide = [&](const SystemCall& call, Moment moment) {
      if (is_step(call) && ++result.moments == n) {
        result.at = (moment == Moment::before ? "before " : "after ") + call.describe();
        copy(work(), cut());
        return Verdict::end;
      }
      return otherwise ? otherwise(call, moment) : Verdict::go_on;
    };
    const Trace traced = trace(command(operation.words), home(), decide);
    result.happened = traced.ended;
    result.reported = !traced.out.empty();
    if (!traced.ended) copy(work(), cut());
    EXPECT_TRUE(traced.ended || traced.exit_code == 0) << traced.err;
    return result;
  }

  void expect_sound_after(const Operation& operation, const Cut& cut_at) const {
    SCOPED_TRACE(cut_at.at);
    const auto mounted = mount(cut());
    ASSERT_TRUE(mounted);
    expect_old_or_new(operation, cut_at.reported);
    expect_recovery(operation);
  }

  void cut_everywhere(const char* name, const Operation& operation) {
    const int step = long_tests() ? 1 : kShortPowerStep;
    Cut last{.happened = true};
    for (int n = 1; last.happened && !HasFailure(); n += step) {
      last = run_and_cut(operation, n);
      expect_sound_after(operation, last);
    }
    EXPECT_GT(last.moments, 15);
    std::cout << name << ": " << last.moments << " moments around fsyncs and renames on "
              << GetParam().name << ", the power cut at every "
              << (step == 1 ? "one" : std::to_string(step) + "th") << " and after the last"
              << std::endl;
  }

 private:
  void make_file_system() const {
    write_file(base(), "");
    fs::resize_file(base(), GetParam().size);
    std::vector<std::string> words = GetParam().make;
    words.push_back(base().string());
    run_checked({.argv = words});
  }
};

TEST_P(PowerLossTest, FirstInstallSurvivesPowerCut) {
  cut_everywhere("Pull", first_install());
}

TEST_P(PowerLossTest, ReplacementSurvivesPowerCut) {
  auto mounted = mount(base());
  const Operation operation = replacement();
  mounted.reset();
  cut_everywhere("Replace", operation);
}

// A test of the test: a loss must be detected.
TEST_P(PowerLossTest, LossIsDetectedWithoutFsyncsOfFiles) {
  const Operation operation = first_install();
  const auto no_fsync = [&](const SystemCall& call, Moment moment) {
    const bool of_a_file = call.effect == Effect::sync && !fs::is_directory(call.path);
    return of_a_file && moment == Moment::before ? Verdict::skip : Verdict::go_on;
  };
  EXPECT_TRUE(run_and_cut(operation, 0, no_fsync).reported);
  const auto mounted = mount(cut());
  ASSERT_TRUE(mounted);
  EXPECT_TRUE(fs::exists(install_dir()));
  EXPECT_NE(pyro({"env", "verify", "tool:1"}).exit_code, 0);
}

constexpr std::uint64_t kMiB = 1 << 20;

INSTANTIATE_TEST_SUITE_P(FileSystems, PowerLossTest,
                         ::testing::Values(FileSystem{"ext4",
                                                      {"mkfs.ext4", "-q", "-E",
                                                       "lazy_itable_init=0"},
                                                      32 * kMiB},
                                           FileSystem{"xfs", {"mkfs.xfs", "-q"}, 320 * kMiB},
                                           FileSystem{"btrfs", {"mkfs.btrfs", "-q"}, 128 * kMiB}),
                         row_name);

}  // namespace
}  // namespace pyro::testing
