// Terminals of commands, and pyro's own terminal.
#include <gmock/gmock.h>
#include <signal.h>

#include "scenarios/machine_harness.h"
#include "scenarios/pseudo_terminal.h"
#include "support/file_openings.h"

namespace pyro::testing {
namespace {

using ::testing::HasSubstr;

class TerminalTest : public MachineHarness {
 protected:
  /// Prints nothing and ignores signals of the terminal, like a machine that does not boot.
  std::string monitor_that_hangs() const {
    const auto program = dir_ / "monitor";
    write_file(program, "#!/bin/sh\n: < " + mark_.path().string() + "\nexec sleep 1000\n");
    std::filesystem::permissions(program, std::filesystem::perms(0755));
    return program.string();
  }
  bool monitor_is_up() { return mark_.count() > 0; }

  FileOpenings mark_{dir_ / "mark"};
  PseudoTerminal terminal_{33, 77};
};

TEST_F(TerminalTest, ForwardsSizeAndKeys) {
  const pid_t pid = terminal_.start(run_command(
      {"sh", "-c",
       "stty size; while [ \"$(stty size)\" = '33 77' ]; do sleep 0.1; done; stty size; "
       "read line; echo \"got $line\"; sleep 1000"},
      {"-it"}));
  EXPECT_TRUE(terminal_.shows("33 77")) << terminal_.seen();
  EXPECT_FALSE(terminal_.is_cooked());
  terminal_.resize(40, 100);
  EXPECT_TRUE(terminal_.shows("40 100")) << terminal_.seen();
  terminal_.type("word\r");
  EXPECT_TRUE(terminal_.shows("got word")) << terminal_.seen();
  terminal_.type("\x03");
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_TRUE(terminal_.is_cooked()) << "it is given back as it was";
}

TEST_F(TerminalTest, ShellRunsInteractively) {
  const pid_t pid = terminal_.start(command({"shell", "--memory", "192", "tool:1"}));
  EXPECT_TRUE(terminal_.shows("# ")) << terminal_.seen();
  terminal_.type("echo $((6*7))x; exit 5\r");
  EXPECT_TRUE(terminal_.shows("42x")) << terminal_.seen();
  EXPECT_EQ(exit_code_of(pid), 5);
}

TEST_F(TerminalTest, EndOfInputEndsCommand) {
  for (const char* const input : {"", "foo", "foo\n", "foo\nbar"}) {
    const ProcessResult result = run_in_guest({"cat"}, {"-t", "--timeout", "200"}, input);
    EXPECT_EQ(result.exit_code, 0) << '"' << input << "\": " << result.err;
  }
}

struct EndedInput {
  const char* name;
  std::string script;
  std::string input;
  int code = 0;
  const char* shown = "";

  friend void PrintTo(const EndedInput& self, std::ostream* out) { *out << self.name; }
};

class EndedInputTest : public TerminalTest, public ::testing::WithParamInterface<EndedInput> {};

TEST_P(EndedInputTest, EachReaderSeesEndOfFile) {
  const ProcessResult result =
      run_script(GetParam().script, {"-t", "--timeout", "200"}, GetParam().input);
  EXPECT_EQ(result.exit_code, GetParam().code) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr(GetParam().shown));
}

// Includes readers of single keys, shells that change the terminal's mode between lines, and
// programs that close all their streams before they end.
INSTANTIATE_TEST_SUITE_P(
    Scripts, EndedInputTest,
    ::testing::Values(
        EndedInput{"TwoReaders", "cat; cat; echo both", "line\n", 0, "both"},
        EndedInput{"ManyReaders", "for i in 1 2 3 4 5; do cat || exit; done; echo all", "", 0,
                   "all"},
        EndedInput{"ReaderOfKeys", "stty -icanon -echo; head -c 2 | tail -c 1 | od -An -tx1", "", 0,
                   "04"},
        EndedInput{"Shell", "exec sh", "", 0, ""},
        EndedInput{"ShellWithACommand", "exec sh", "echo $((6*7))x\n", 0, "42x"},
        EndedInput{"ShellWithPartOfALine", "exec sh", "exit 5", 5, ""},
        EndedInput{"ShellThatRunsAReader", "exec sh", "cat\n", 0, ""},
        EndedInput{"ShellThatComesLate", "sleep 1; exec sh", "echo $((6*7))x\n", 0, "42x"},
        EndedInput{"ShellThatStartsSlowly", "timeout 4 sh -c 'while :; do :; done'; exec sh",
                   "exit 5", 5, ""},
        EndedInput{"ReaderBesideABusyProgram", "while :; do :; done & cat; echo done", "", 0,
                   "done"},
        EndedInput{"Sort", "sort", "b\na\n", 0, "a\r\nb"},
        EndedInput{"Tail", "tail -n 1", "b\na\n", 0, "a"},
        EndedInput{"StreamsClosedBeforeTheEnd", "cat; exec <&- >&- 2>&-; sleep 0.3; exit 3", "x\n",
                   3},
        EndedInput{"TerminalOpenedAgain",
                   "exec <&- >&- 2>&-; sleep 0.3; echo again > /dev/tty; exit 4", "", 4, "again"}),
    row_name);

TEST_F(TerminalTest, NoStdinIsEndOfFile) {
  const ProcessResult result =
      run_in_guest({"cat"}, {"-t", "--no-stdin", "--timeout", "200"}, "x\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(TerminalTest, ClosedOutputHangsUpCommand) {
  Command piped = run_command({"yes"}, {"-it", "--timeout", "200"});
  piped.argv.insert(
      piped.argv.begin(),
      {"bash", "-c", "\"$@\" < <(sleep 1000) | head -n 1; exit ${PIPESTATUS[0]}", "bash"});
  piped.env["PATH"] = "/usr/bin:/bin";
  const ProcessResult result = run(piped);
  EXPECT_EQ(result.exit_code, 128 + SIGHUP) << result.err;
  EXPECT_EQ(result.out, "y\r\n");
}

TEST_F(TerminalTest, StaysCookedUntilCommandBegins) {
  variables_["PYRO_QEMU"] = monitor_that_hangs();
  const pid_t pid = terminal_.start_as_its_own(
      command({"-v", "run", "--cold", "-it", "--memory", "192", "tool:1", "--", "true"}));
  ASSERT_TRUE(eventually([&] { return monitor_is_up(); }));
  EXPECT_TRUE(terminal_.is_cooked());
  EXPECT_TRUE(terminal_.shows("\r\n")) << "lines that begin at the left: " << terminal_.seen();
  terminal_.type("\x03");
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_TRUE(terminal_.is_cooked());
}

TEST_F(TerminalTest, IsRestoredAfterSecondInterrupt) {
  const pid_t pid = terminal_.start(run_command(
      {"sh", "-c", "trap 'echo told' INT; echo up; while true; do sleep 1000 & wait; done"},
      {"-it"}));
  ASSERT_TRUE(terminal_.shows("up")) << terminal_.seen();
  EXPECT_FALSE(terminal_.is_cooked());
  ::kill(pid, SIGINT);
  ASSERT_TRUE(eventually([&] { return terminal_.has_shown("told") || has_ended(pid); }));
  ::kill(pid, SIGINT);
  EXPECT_EQ(exit_code_of(pid), 130);
  EXPECT_TRUE(terminal_.is_cooked());
}

}  // namespace
}  // namespace pyro::testing
