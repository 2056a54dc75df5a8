// States that are made in passing: the first boot of a kernel leaves one that all images go on
// from, the second run of an image one of its own.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <string>
#include <vector>

#include "scenarios/machine_harness.h"
#include "support/background_process.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class KernelStateTest : public MachineHarness {
 protected:
  void SetUp() override {
    MachineHarness::SetUp();
    if (!IsSkipped()) use_own_cache();
  }

  json run_true(const std::vector<std::string>& options = {}) const {
    std::vector<std::string> words{"--json"};
    words.insert(words.end(), options.begin(), options.end());
    const json report = parse_json(run_in_guest({"true"}, words).out);
    EXPECT_EQ(report["exit_code"], 0) << report;
    return report;
  }

  [[nodiscard]] fs::path state() const { return cache() / "prepared/tool_1/kernel-1-192-none"; }
};

TEST_F(KernelStateTest, SecondRunGoesOnFromKernelAndThirdFromItsOwnState) {
  EXPECT_EQ(run_true()["started"], "cold");
  const std::string script = "cat /proc/sys/kernel/random/uuid; date +%Y; hostname; mount | wc -l";
  const json one = parse_json(run_script(script, {"--json"}).out);
  const json two = parse_json(run_script(script, {"--json"}).out);
  EXPECT_EQ(one["started"], "kernel") << one;
  EXPECT_EQ(two["started"], "warm") << two;
  const auto first = lines_of(one["stdout"]);
  const auto second = lines_of(two["stdout"]);
  ASSERT_EQ(first.size(), 4u);
  ASSERT_EQ(second.size(), 4u);
  EXPECT_NE(first[0], second[0]) << "random numbers are those of each machine";
  EXPECT_GE(std::stoi(first[1]), 2026);
  EXPECT_EQ(first[2], "tool-1");
  EXPECT_EQ(lines_of(run_script(script, {"--cold"}).out)[3], first[3]) << "as after a boot";
}

TEST_F(KernelStateTest, ColdRunAndVariableLeaveNone) {
  EXPECT_EQ(run_true({"--cold"})["started"], "cold");
  variables_["PYRO_PREPARE"] = "never";
  EXPECT_EQ(run_true()["started"], "cold");
  EXPECT_FALSE(fs::exists(state()));
  variables_["PYRO_PREPARE"] = "sometimes";
  const ProcessResult result = run(run_command({"true"}));
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("PYRO_PREPARE is 'never' or not set"));
}

TEST_F(KernelStateTest, ChangedByteBootsAgainAndVerifyTellsIt) {
  run_true();
  pyro_ok({"env", "verify", "--json", "tool:1"});
  {
    std::fstream memory(state() / "memory", std::ios::in | std::ios::out | std::ios::binary);
    memory.seekp(20 << 20);
    memory.put('!');
  }
  EXPECT_THAT(pyro({"env", "verify", "tool:1"}).out, HasSubstr("kernel-1-192-none/memory"));
  EXPECT_EQ(run_true()["started"], "cold");
  const ProcessResult third = run(run_command({"true"}));
  EXPECT_EQ(third.err, "pyro: tool:1 is prepared: its next runs resume\n");
  EXPECT_EQ(run_true()["started"], "warm");
}

TEST_F(KernelStateTest, NetworkAndMemoryHaveStatesOfTheirOwn) {
  run_true();
  const std::vector<std::string> network{"--network", "user+host"};
  EXPECT_EQ(run_true(network)["started"], "cold");
  EXPECT_EQ(run_true({"--memory", "256"})["started"], "cold");
  const json report =
      parse_json(run_script("ls /sys/class/net", {"--json", "--network", "user+host"}).out);
  EXPECT_EQ(report["started"], "kernel");
  EXPECT_THAT(report["stdout"].get<std::string>(), HasSubstr("eth0"));
  EXPECT_EQ(run_true()["started"], "kernel");
}

TEST_F(KernelStateTest, KilledFirstBootLeavesNothingThatIsUsed) {
  BackgroundProcess first(run_command({"true"}), dir_ / "out", dir_ / "err");
  EXPECT_TRUE(eventually(
      [&] { return fs::exists(cache() / "staging") && !fs::is_empty(cache() / "staging"); }));
  ::kill(first.pid(), SIGKILL);
  static_cast<void>(first.wait());
  EXPECT_FALSE(fs::exists(state()));
  EXPECT_EQ(run_true()["started"], "cold");
  EXPECT_EQ(run_true()["started"], "kernel");
}

TEST_F(KernelStateTest, GoesWithItsEnvironment) {
  run_true();
  EXPECT_TRUE(fs::exists(state()));
  pyro_ok({"env", "remove", "tool:1"});
  EXPECT_FALSE(fs::exists(state()));
}

}  // namespace
}  // namespace pyro::testing
