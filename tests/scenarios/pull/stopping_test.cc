// Signals and timeouts: they end a boot at once, and are forwarded to a running command.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <memory>

#include "scenarios/machine_harness.h"
#include "support/background_process.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class StoppingTest : public MachineHarness {
 protected:
  std::unique_ptr<BackgroundProcess> start(const Command& command) {
    return std::make_unique<BackgroundProcess>(command,
                                               dir_ / ("output." + std::to_string(++started_)));
  }

  /// Returns once the machine's process exists.
  std::unique_ptr<BackgroundProcess> start_machine(const Command& command) {
    auto process = start(command);
    process->wait_until("there is a machine", [&] { return !children_of(process->pid()).empty(); });
    return process;
  }

  /// A command that says "up" and then does not end by itself.
  std::unique_ptr<BackgroundProcess> start_script(const std::string& script,
                                                  const std::vector<std::string>& options = {}) {
    auto process = start(run_command({"sh", "-c", script}, options));
    process->wait_until("the guest to say something",
                        [&] { return process->output().find("up\n") != std::string::npos; });
    return process;
  }

  static void expect_to_stop(BackgroundProcess& process, int signal) {
    process.send_signal(signal);
    EXPECT_EQ(process.wait().exit_code, 130) << process.output();
  }

  /// The offset of `process` in `file`, or 0 if the file is not open.
  static long read_position(pid_t process, const fs::path& file) {
    const fs::path proc = fs::path("/proc") / std::to_string(process);
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator(proc / "fd", gone)) {
      if (fs::read_symlink(entry.path(), gone) != file) continue;
      std::ifstream info(proc / "fdinfo" / entry.path().filename());
      std::string word;
      long position = 0;
      if (info >> word >> position && word == "pos:") return position;
    }
    return 0;
  }

  void use_monitor_that_hangs() {
    write_file(dir_ / "monitor", "#!/bin/sh\nexec sleep 1000\n");
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

TEST_P(SignalTest, IsForwardedAndCommandSetsExitCode) {
  const std::string name = GetParam().name;
  const auto process = start_script("trap 'echo told " + name + "; exit 7' " + name +
                                    "; echo up; sleep 1000 & wait");
  process->send_signal(GetParam().number);
  EXPECT_EQ(process->wait().exit_code, 7) << process->output();
  EXPECT_THAT(process->output(), HasSubstr("told " + name));
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest,
                         ::testing::Values(Signal{"INT", SIGINT}, Signal{"TERM", SIGTERM},
                                           Signal{"HUP", SIGHUP}, Signal{"QUIT", SIGQUIT},
                                           Signal{"USR1", SIGUSR1}, Signal{"USR2", SIGUSR2},
                                           Signal{"ALRM", SIGALRM}),
                         row_name);

// Without SIGQUIT: the shell of the test environment drops a SIGQUIT just before its exec.
TEST_F(StoppingTest, UnhandledSignalExitsWith128PlusNumber) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM}) {
    const auto process = start_script("echo up; exec sleep 1000");
    process->send_signal(number);
    EXPECT_EQ(process->wait().exit_code, 128 + number) << process->output();
  }
}

TEST_F(StoppingTest, CopiesOutAfterStop) {
  const auto process = start_script(
      "trap 'echo cleaned up > /log; exit 3' TERM; echo up; "
      "sleep 1000 & wait",
      {"--copy-out", "/log:" + (dir_ / "log").string()});
  process->send_signal(SIGTERM);
  EXPECT_EQ(process->wait().exit_code, 3) << process->output();
  EXPECT_TRUE(holds(dir_ / "log", "cleaned up\n"));
}

// The input exceeds all buffers, so the command has read some of it when the mark exists.
TEST_F(StoppingTest, PrintsReportAfterStop) {
  Command reading =
      run_command({"sh", "-c",
                   "trap 'echo bye; exit 3' TERM; echo so far; head -c 500000 > /dev/null; "
                   "sleep 1000 & wait"},
                  {"--json"});
  const std::string mark = (dir_ / "read").string();
  reading.argv.insert(
      reading.argv.begin(),
      {"bash", "-c",
       "exec \"$@\" < <(head -c 800000 /dev/zero; touch " + mark + "; exec sleep 100)", "bash"});
  reading.env["PATH"] = "/usr/bin:/bin";
  const auto process = start(reading);
  process->wait_until("the command to read", [&] { return fs::exists(mark); });
  process->send_signal(SIGTERM);
  EXPECT_EQ(process->wait().exit_code, 3);
  const json report = parse_json(process->output());
  EXPECT_EQ(report["stdout"], "so far\nbye\n");
  EXPECT_EQ(report["exit_code"], 3);
}

TEST_F(StoppingTest, KillsCommandThatIgnoresSignalAndCopiesOut) {
  const auto process =
      start_script("trap '' INT TERM; echo x > /log; echo up; while true; do :; done",
                   {"--stop-timeout", "0.2", "--copy-out", "/log:" + (dir_ / "log").string()});
  process->send_signal(SIGTERM);
  EXPECT_EQ(process->wait().exit_code, 128 + SIGKILL) << process->output();
  EXPECT_TRUE(holds(dir_ / "log", "x\n"));
}

TEST_F(StoppingTest, SecondSignalEndsPyroAtOnce) {
  for (const int second : {SIGINT, SIGTERM}) {
    const auto process = start_script(
        "trap 'echo told' TERM; echo up; while true; do sleep 1; done", {"--stop-timeout", "1000"});
    process->send_signal(SIGTERM);
    process->wait_until("the command to be told",
                        [&] { return process->output().find("told\n") != std::string::npos; });
    process->send_signal(second);
    EXPECT_EQ(process->wait().exit_code, 130) << process->output();
  }
}

TEST_F(StoppingTest, TimeoutOfZeroMeansNoTimeout) {
  EXPECT_EQ(run_in_guest({"true"}, {"--timeout", "0"}).exit_code, 0);
}

TEST_F(StoppingTest, InterruptEndsBootingMachine) {
  const auto process = start_machine(run_command({"sleep", "1000"}, {"--cold"}));
  expect_to_stop(*process, SIGINT);
}

TEST_F(StoppingTest, InterruptEndsMachineThatNeverBoots) {
  use_monitor_that_hangs();
  expect_to_stop(*start_machine(run_command({"true"}, {"--cold"})), SIGINT);
}

TEST_F(StoppingTest, InterruptEndsPreparation) {
  use_own_cache();
  const auto process = start_machine(command({"prepare", "--memory", "192", "tool:1"}));
  expect_to_stop(*process, SIGINT);
  EXPECT_FALSE(fs::exists(cache() / "prepared/tool_1/none"));
}

TEST_F(StoppingTest, InterruptEndsCopyIn) {
  // Fits into the guest, and takes long enough for a signal after the first bytes.
  const fs::path large = dir_ / "large";
  write_file(large, std::string(40 << 20, 'x'));
  const auto process =
      start_machine(run_command({"sleep", "1000"}, {"--copy-in", large.string() + ":/tmp/x"}));
  process->wait_until("the copy has begun",
                      [&] { return read_position(process->pid(), large) > 0; });
  expect_to_stop(*process, SIGINT);
}

}  // namespace
}  // namespace pyro::testing
