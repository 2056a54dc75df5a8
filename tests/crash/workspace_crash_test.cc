// Ends every process of a workspace, its supervisor and its machine among them, before and after
// each of the changes that an operation makes to its directory. Without PYRO_LONG_TESTS at some of
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <iostream>
#include <sstream>
#include <thread>

#include "crash/tracer.h"
#include "scenarios/workspaces/workspace_harness.h"
#include "support/background_process.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kShortWorkspaceStep = 11;

class WorkspaceCrashTest : public WorkspaceHarness,
                           public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    WorkspaceHarness::SetUp();
    if (IsSkipped()) return;
    if (const auto why = why_no_tracing()) GTEST_SKIP() << *why;
  }

  /// It has the file of before the reset, or that of the baseline, which is none.
  void expect_intact(const std::string& name) const {
    const auto known = snapshots(name);
    const bool is_reset = std::ranges::find(known, "before-reset") != known.end();
    EXPECT_EQ(script_in(name, "cat file 2>/dev/null").out, is_reset ? "" : "kept\n");
    EXPECT_EQ(std::ranges::count(known, "baseline"), 1);
    EXPECT_EQ(pyro({"workspace", "snapshot", name, "again"}).exit_code, 0);
    EXPECT_EQ(pyro({"workspace", "reset", name, "--to", "again"}).exit_code, 0);
    pyro({"workspace", "stop", name});
    const json status = pyro_json({"workspace", "status", name});
    const auto states = fs::directory_iterator(workspaces() / name / "states");
    EXPECT_EQ(std::distance(states, {}), status["snapshots"].get<int>() + 1) << "and the current";
  }

  void save() const { copy(workspaces(), dir_ / "saved"); }
  void restore() const {
    fs::remove_all(workspaces());
    copy(dir_ / "saved", workspaces());
  }

 private:
  static void copy(const fs::path& from, const fs::path& to) {
    run_checked({.argv = {"cp", "-a", "--sparse=always", from.string(), to.string()}});
  }
};

std::vector<std::string> words_of(const std::string& operation) {
  std::istringstream stream("workspace " + operation);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

TEST_P(WorkspaceCrashTest, LeavesWhatWasOrWhatWillBe) {
  create("w", {"--idle", "1s"});
  script("echo kept > file; sync");
  pyro_ok({"workspace", "suspend", "w"});
  save();
  const int step = long_tests() ? 1 : kShortWorkspaceStep;
  Crash last{.ended = true};
  for (int n = 1; last.ended; n += step) {
    for (const Moment moment : {Moment::before, Moment::after}) {
      restore();
      last = crash_at(command(words_of(GetParam())), workspaces(), n, moment);
      if (!last.ended) break;
      SCOPED_TRACE((moment == Moment::before ? "before call " : "after call ") + std::to_string(n) +
                   ", " + last.at);
      EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
      for (const std::string& name : names()) expect_intact(name);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(last.calls, 5);
  std::cout << GetParam() << ": " << last.calls << " changes" << std::endl;
  create("new");  // which removes what is left of one that was being made
  const Words left = entries();
  EXPECT_TRUE(std::ranges::none_of(left, [](const auto& one) { return one.starts_with('.'); }));
}

// A machine under a tracer would take minutes: so these are ended after some time, wherever they
// are.
class WorkspaceKillTest : public WorkspaceCrashTest {};

TEST_P(WorkspaceKillTest, LeavesWhatWasWritten) {
  create();
  script("touch file; sync");
  std::string expected;
  const int kills = long_tests() ? 40 : 8;
  for (int i = 0; i < kills; ++i) {
    pyro_ok({"workspace", "suspend", "w"});
    if (GetParam() == std::string("suspend w")) script("true");
    BackgroundProcess client(command(words_of(GetParam())), dir_ / "out");
    std::this_thread::sleep_for(std::chrono::milliseconds(i * 400 / kills));
    for (const pid_t pid : processes_of_workspaces()) ::kill(pid, SIGKILL);
    client.wait();  // who was not heard asks another supervisor
    const ProcessResult found = script("cat file; echo " + std::to_string(i) + " >> file; sync");
    EXPECT_EQ(found.out, expected) << "after kill " << i << ": " << found.err;
    expected += std::to_string(i) + '\n';
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, WorkspaceKillTest,
                         ::testing::Values("exec w -- true", "suspend w"), [](const auto& row) {
                           std::string name = row.param;
                           std::erase_if(name, [](char c) { return !std::isalpha(c); });
                           return name;
                         });

INSTANTIATE_TEST_SUITE_P(Operations, WorkspaceCrashTest,
                         ::testing::Values("snapshot w one", "reset w", "fork w child", "stop w",
                                           "delete w"),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::erase_if(name, [](char c) { return !std::isalpha(c); });
                           return name;
                         });

}  // namespace
}  // namespace pyro::testing
