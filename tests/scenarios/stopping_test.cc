// Runs that are asked to stop, at any moment: at once, and the command is told how.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "scenarios/machine_harness.h"
#include "support/background_process.h"
#include "support/file_descriptor.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// What people are promised.
constexpr auto kAtOnce = 1s;

class StoppingTest : public MachineHarness {
 protected:
  std::unique_ptr<BackgroundProcess> start(const Command& command) {
    return std::make_unique<BackgroundProcess>(command,
                                               dir_ / ("output." + std::to_string(++started_)));
  }

  /// Once a machine is there.
  std::unique_ptr<BackgroundProcess> start_machine(const Command& command) {
    auto process = start(command);
    process->wait_until("there is a machine", [&] { return !children_of(process->pid()).empty(); });
    return process;
  }

  /// A command that says "up" and then does not end by itself.
  std::unique_ptr<BackgroundProcess> start_script(const std::string& script) {
    auto process = start(run_command({"sh", "-c", script}));
    process->wait_until("the guest to say something",
                        [&] { return process->output().find("up\n") != std::string::npos; });
    return process;
  }

  static void expect_to_stop(BackgroundProcess& process, int signal) {
    const auto begin = std::chrono::steady_clock::now();
    process.send_signal(signal);
    EXPECT_EQ(process.wait().exit_code, 130) << process.output();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kAtOnce);
  }

  void use_monitor_that_hangs() {
    write_file(dir_ / "monitor", "#!/bin/sh\nexec sleep 100\n");
    fs::permissions(dir_ / "monitor", fs::perms(0755));
    variables_["PYRO_QEMU"] = (dir_ / "monitor").string();
  }

 private:
  int started_ = 0;
};

struct Signal {
  const char* name;
  int number;

  friend void PrintTo(const Signal& self, std::ostream* out) { *out << self.name; }
};

class SignalTest : public StoppingTest, public ::testing::WithParamInterface<Signal> {};

TEST_P(SignalTest, ReachesTheCommandAsItself) {
  const std::string name = GetParam().name;
  const auto process =
      start_script("trap 'echo told " + name + "; exit' " + name + "; echo up; sleep 100 & wait");
  expect_to_stop(*process, GetParam().number);
  EXPECT_THAT(process->output(), HasSubstr("told " + name));
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest,
                         ::testing::Values(Signal{"INT", SIGINT}, Signal{"TERM", SIGTERM},
                                           Signal{"HUP", SIGHUP}),
                         row_name);

TEST_F(StoppingTest, ACommandThatDoesNotListenEndsAtOnce) {
  const auto process = start_script("trap '' INT TERM; echo up; while true; do :; done");
  expect_to_stop(*process, SIGINT);
}

TEST_F(StoppingTest, ATimeoutEndsItAtOnce) {
  const json report = parse_json(
      run_script("trap '' TERM; while true; do :; done", {"--timeout", "1", "--json"}).out);
  EXPECT_EQ(report["exit_code"], 124);
  EXPECT_EQ(report["timed_out"], true);
  EXPECT_GE(report["seconds"]["command"], 1.0);
  EXPECT_LT(report["seconds"]["command"], 2.0);
}

TEST_F(StoppingTest, AMachineThatBootsEndsAtOnce) {
  const auto process = start_machine(run_command({"true"}, {"--cold"}));
  std::this_thread::sleep_for(300ms);
  expect_to_stop(*process, SIGINT);
}

TEST_F(StoppingTest, AMachineThatNeverComesUpEndsAtOnce) {
  use_monitor_that_hangs();
  expect_to_stop(*start_machine(run_command({"true"}, {"--cold"})), SIGINT);
}

TEST_F(StoppingTest, APreparationEndsAtOnce) {
  use_own_cache();
  const auto process = start_machine(command({"prepare", "--memory", "192", "tool:1"}));
  std::this_thread::sleep_for(500ms);
  expect_to_stop(*process, SIGINT);
  EXPECT_FALSE(fs::exists(cache() / "prepared/tool_1/none"));
}

TEST_F(StoppingTest, ACopyEndsAtOnce) {
  const fs::path large = dir_ / "large";
  const FileDescriptor file(::open(large.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(file.get(), 80 << 20), 0);
  const auto process =
      start_machine(run_command({"sleep", "100"}, {"--copy-in", large.string() + ":/tmp/x"}));
  std::this_thread::sleep_for(1s);
  expect_to_stop(*process, SIGINT);
}

}  // namespace
}  // namespace pyro::testing
