// The progress of machines: booting, preparing, copies.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "scenarios/machine_harness.h"
#include "scenarios/pseudo_terminal.h"

namespace pyro::testing {
namespace {

using ::testing::ElementsAre;

class MachineProgressTest : public MachineHarness {
 protected:
  MachineProgressTest() {
    variables_["TERM"] = "xterm";
    variables_["NO_COLOR"] = "1";
  }

  std::string monitor_that_hangs() const {
    const auto program = dir_ / "monitor";
    write_file(program, "#!/bin/sh\nexec sleep 1000\n");
    std::filesystem::permissions(program, std::filesystem::perms(0755));
    return program.string();
  }
};

TEST_F(MachineProgressTest, BootShowsOneLineUntilItsEnd) {
  variables_["PYRO_QEMU"] = monitor_that_hangs();
  for (const unsigned short width : kTerminalWidths) {
    PseudoTerminal terminal(24, width);
    const pid_t pid = terminal.start(run_command({"true"}, {"--cold"}));
    EXPECT_TRUE(terminal.shows(width == 40 ? "booting tool:1 (no KVM: "
                                           : "booting tool:1 (no KVM: emulated)  1 s"))
        << terminal.seen();
    ::kill(pid, SIGINT);
    EXPECT_EQ(exit_code_of(pid), 130);
    terminal.look();
    EXPECT_TRUE(terminal.last_text().starts_with("pyro: error: ")) << terminal.seen();
    EXPECT_LT(terminal.widest_line(), width) << terminal.seen();
  }
}

TEST_F(MachineProgressTest, CopyFromSlowPipeShowsBytesUntilItsEnd) {
  const std::string pipe = (dir_ / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const unsigned short width : kTerminalWidths) {
    FileDescriptor writer(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::write(writer.get(), "some text\n", 10), 10);
    PseudoTerminal terminal(24, width);
    const pid_t pid = terminal.start(run_command({"cat", "/x"}, {"--copy-in", pipe + ":/x"}));
    EXPECT_TRUE(terminal.shows("copying in /")) << terminal.seen();
    writer.reset();
    EXPECT_EQ(exit_code_of(pid), 0);
    terminal.look();
    EXPECT_EQ(terminal.last_text(), "some text\r\n") << terminal.seen();
    EXPECT_LT(terminal.widest_line(), width) << terminal.seen();
  }
}

TEST_F(MachineProgressTest, PreparationReportsItsSteps) {
  use_own_cache();
  const ProcessResult result =
      run(command({"prepare", "--memory", "192", "--progress", "json", "--json", "tool:1"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(parse_json(result.out)["name"], "tool:1");
  std::vector<std::string> steps;
  nlohmann::json last;
  std::istringstream lines(result.err);
  for (std::string line; std::getline(lines, line) && line.starts_with('{');) {
    last = parse_json(line);
    if (last["event"] != "operation_progress" || last["operation"] != "preparing") continue;
    const auto step = last["detail"].get<std::string>();
    if (steps.empty() || steps.back() != step) steps.push_back(step);
  }
  EXPECT_THAT(steps, ElementsAre("boot", "warm up", "save", "prove", "sync", "digest"));
  EXPECT_EQ(last["event"], "operation_finished");
  EXPECT_EQ(last["done"], 6);
  EXPECT_EQ(last["total"], 6);
}

TEST_F(MachineProgressTest, PipesGetNothingFromABoot) {
  const ProcessResult result = run_in_guest({"true"}, {"--cold"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace pyro::testing
