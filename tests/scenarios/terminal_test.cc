// Commands that have a terminal, and the terminal that pyro has itself.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "scenarios/machine_harness.h"
#include "scenarios/pseudo_terminal.h"
#include "support/file_openings.h"

namespace pyro::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class TerminalTest : public MachineHarness {
 protected:
  /// What says nothing and takes no signals of its terminal, as a machine that does not come up.
  std::string monitor_that_hangs() const {
    const auto program = dir_ / "monitor";
    write_file(program, "#!/bin/sh\n: < " + mark_.path().string() + "\nexec sleep 100\n");
    std::filesystem::permissions(program, std::filesystem::perms(0755));
    return program.string();
  }
  bool monitor_is_up() { return mark_.count() > 0; }

  FileOpenings mark_{dir_ / "mark"};
  PseudoTerminal terminal_{33, 77};
};

TEST_F(TerminalTest, HasTheSizeAndTheKeysOfOurs) {
  const pid_t pid = terminal_.start(run_command(
      {"sh", "-c", "stty size; read line; stty size; echo \"got $line\"; sleep 100"}, {"-it"}));
  EXPECT_TRUE(terminal_.shows("33 77")) << terminal_.seen();
  EXPECT_FALSE(terminal_.is_cooked());
  terminal_.resize(40, 100);
  std::this_thread::sleep_for(500ms);
  terminal_.type("word\r");
  EXPECT_TRUE(terminal_.shows("40 100")) << terminal_.seen();
  EXPECT_TRUE(terminal_.shows("got word")) << terminal_.seen();
  terminal_.type("\x03");
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_TRUE(terminal_.is_cooked()) << "it is given back as it was";
}

TEST_F(TerminalTest, OfAShellIsTheShells) {
  const pid_t pid = terminal_.start(command({"shell", "--memory", "192", "tool:1"}));
  EXPECT_TRUE(terminal_.shows("# ")) << terminal_.seen();
  terminal_.type("echo $((6*7))x; exit 5\r");
  EXPECT_TRUE(terminal_.shows("42x")) << terminal_.seen();
  EXPECT_EQ(exit_code_of(pid), 5);
}

TEST_F(TerminalTest, EndsWithItsInput) {
  for (const char* const input : {"", "foo", "foo\n", "foo\nbar"}) {
    const ProcessResult result = run_in_guest({"cat"}, {"-t", "--timeout", "20"}, input);
    EXPECT_EQ(result.exit_code, 0) << '"' << input << "\": " << result.err;
  }
}

TEST_F(TerminalTest, IsGoneForTheCommandWhenNobodyLooks) {
  Command piped = run_command({"yes"}, {"-it", "--timeout", "20"});
  piped.argv.insert(
      piped.argv.begin(),
      {"bash", "-c", "\"$@\" < <(sleep 100) | head -n 1; exit ${PIPESTATUS[0]}", "bash"});
  piped.env["PATH"] = "/usr/bin:/bin";
  const ProcessResult result = run(piped);
  EXPECT_EQ(result.exit_code, 128 + SIGHUP) << result.err;
  EXPECT_EQ(result.out, "y\r\n");
}

TEST_F(TerminalTest, IsOursUntilTheCommandBegins) {
  variables_["PYRO_QEMU"] = monitor_that_hangs();
  const pid_t pid = terminal_.start_as_its_own(
      command({"-v", "run", "--cold", "-it", "--memory", "192", "tool:1", "--", "true"}));
  ASSERT_TRUE(soon([&] { return monitor_is_up(); }));
  EXPECT_TRUE(terminal_.is_cooked());
  EXPECT_TRUE(terminal_.shows("\r\n")) << "lines that begin at the left: " << terminal_.seen();
  const auto begin = std::chrono::steady_clock::now();
  terminal_.type("\x03");
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
  EXPECT_TRUE(terminal_.is_cooked());
}

TEST_F(TerminalTest, IsGivenBackHoweverPyroEnds) {
  const pid_t pid = terminal_.start(
      run_command({"sh", "-c", "trap '' INT; echo up; while true; do sleep 1; done"}, {"-it"}));
  ASSERT_TRUE(terminal_.shows("up")) << terminal_.seen();
  EXPECT_FALSE(terminal_.is_cooked());
  ::kill(pid, SIGINT);
  std::this_thread::sleep_for(50ms);
  ::kill(pid, SIGINT);
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_TRUE(terminal_.is_cooked());
}

}  // namespace
}  // namespace pyro::testing
