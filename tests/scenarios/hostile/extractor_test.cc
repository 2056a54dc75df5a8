// The extractor process: its privileges, and the effects of its end.

#include <csignal>
#include <fstream>
#include <map>
#include <optional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

/// The fields of /proc/PID/status.
std::map<std::string, std::string> status_of(pid_t pid) {
  std::map<std::string, std::string> fields;
  std::ifstream file(fs::path("/proc") / std::to_string(pid) / "status");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    std::string value = line.substr(colon + 1);
    value.erase(0, value.find_first_not_of(" \t"));
    fields[line.substr(0, colon)] = value;
  }
  return fields;
}

std::optional<pid_t> child_of(pid_t parent) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const pid_t pid = std::stoi(name);
    const auto status = status_of(pid);
    const auto found = status.find("PPid");
    if (found != status.end() && found->second == std::to_string(parent)) return pid;
  }
  return std::nullopt;
}

bool is_there(pid_t pid) {
  const auto status = status_of(pid);
  const auto state = status.find("State");
  return state != status.end() && !state->second.starts_with('Z');
}

class ExtractorTest : public RegistryHarness {
 protected:
  ExtractorTest() {
    offer(image_of(sample()));
    pyro_ok({"env", "pull", "tool:1"});
    before_ = cache_state();
    registry_->add_rule({.kind = RequestKind::blob}, faults::slow(2048, Milliseconds(20)));
    pull_.emplace(command({"env", "pull", "--force", "tool:1", "--progress", "plain", "-v"}),
                  dir_ / "out", dir_ / "err");
    pull_->wait_until("the extractor is shut in", [&] {
      extractor_ = child_of(pull_->pid());
      return extractor_ && status_of(*extractor_)["Name"] == "pyro-extractor" &&
             status_of(*extractor_)["NoNewPrivs"] == "1" && limited();
    });
  }

  // The limits are set second to last.
  [[nodiscard]] bool limited() const {
    std::ifstream file(fs::path("/proc") / std::to_string(*extractor_) / "limits");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("Max core file size") && line.find("unlimited") == line.npos) {
        return true;
      }
    }
    return false;
  }

  std::vector<std::string> before_;
  std::optional<BackgroundProcess> pull_;
  std::optional<pid_t> extractor_;
};

TEST_F(ExtractorTest, IsSandboxedWhileItExtracts) {
#ifdef PYRO_SANITIZED
  GTEST_SKIP() << "sanitizers need more system calls";
#endif
  // The second filter forbids threads.
  ASSERT_TRUE(eventually([&] { return status_of(*extractor_)["Seccomp_filters"] == "2"; }));
  auto status = status_of(*extractor_);
  EXPECT_EQ(status["NoNewPrivs"], "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(status[set], "0000000000000000") << set;
  }
  EXPECT_EQ(status["Threads"], "3") << "all that it will ever have";
  expect_hides(read_file(dir_ / "err"), {"runs without"});
  std::ifstream variables(fs::path("/proc") / std::to_string(*extractor_) / "environ");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(variables), {}), "");
}

TEST_F(ExtractorTest, HasOnlyRequiredFilesOpen) {
  std::map<std::string, int> targets;
  std::error_code denied;
  const fs::path directory = fs::path("/proc") / std::to_string(*extractor_) / "fd";
  for (fs::directory_iterator entry(directory, denied), end; !denied && entry != end; ++entry) {
    std::string target = fs::read_symlink(entry->path()).string();
    if (target.starts_with(cache().string())) target = "a candidate";
    if (target.starts_with("socket:")) target = "a socket";
    if (target.starts_with("/memfd:pyro-ring")) target = "the ring";
    ++targets[target];
  }
  if (denied) GTEST_SKIP() << "needs the right to look into a process that cannot be dumped";
  std::map<std::string, int> expected{
      {"/dev/null", 3}, {"a socket", 1}, {"the ring", 1}, {"a candidate", 12}};
#ifdef PYRO_SANITIZED  // which keep their standard error
  --expected["/dev/null"];
  ++expected[(dir_ / "err").string()];
#endif
  EXPECT_EQ(targets, expected);
}

TEST_F(ExtractorTest, HoldsNoLock) {
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    EXPECT_EQ(line.find(' ' + std::to_string(*extractor_) + ' '), line.npos) << line;
  }
}

TEST_F(ExtractorTest, KilledExtractorFailsThePull) {
  ASSERT_EQ(::kill(*extractor_, SIGKILL), 0);
  const ProcessResult result = pull_->wait();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  expect_says(result.err, {"cannot install tool:1", "layer 1 of 1",
                           "the extractor was killed (signal 9, SIGKILL)"});
  EXPECT_EQ(cache_state(), before_);
  expect_installed(sample());
}

TEST_F(ExtractorTest, CrashIsReportedAsBadArchive) {
  ASSERT_EQ(::kill(*extractor_, SIGSEGV), 0);
  const ProcessResult result = pull_->wait();
#ifndef PYRO_SANITIZED  // which turn it into an exit code
  EXPECT_EQ(result.exit_code, 5) << result.err;
  expect_says(result.err, {"layer 1 of 1", "the extractor died (signal 11, SIGSEGV)"});
#endif
  EXPECT_EQ(cache_state(), before_);
  expect_installed(sample());
}

TEST_F(ExtractorTest, ReportsForbiddenSystemCall) {
#ifdef PYRO_SANITIZED
  GTEST_SKIP() << "sanitizers need more system calls";
#endif
  ASSERT_EQ(::kill(*extractor_, SIGSYS), 0);
  const ProcessResult result = pull_->wait();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  expect_says(result.err, {"layer 1 of 1", "made the system call", "its sandbox does not have"});
  expect_hides(result.err, {"archive may"});
  EXPECT_EQ(cache_state(), before_);
  expect_installed(sample());
}

TEST_F(ExtractorTest, StalledExtractorFailsThePull) {
  ASSERT_EQ(::kill(*extractor_, SIGSTOP), 0);
  const ProcessResult result = pull_->wait(Milliseconds(50'000));
  EXPECT_EQ(result.exit_code, 1) << result.err;
  expect_says(result.err, {"layer 1 of 1", "the extractor did nothing for 10 s"});
  EXPECT_FALSE(is_there(*extractor_));
  EXPECT_EQ(cache_state(), before_);
  pyro_ok({"env", "remove", "tool:1"});  // no lock is left
}

TEST_F(ExtractorTest, ExitsWhenPullIsKilled) {
  pull_->send_signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_there(*extractor_); }));
}

TEST_F(ExtractorTest, ExitsWhenPullIsInterrupted) {
  // A terminal signals both processes.
  ASSERT_EQ(::kill(*extractor_, SIGINT), 0);
  ASSERT_EQ(::kill(*extractor_, SIGTERM), 0);
  pull_->send_signal(SIGINT);
  const ProcessResult result = pull_->wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_FALSE(is_there(*extractor_));
  EXPECT_EQ(without_partials(cache_state()), before_);
}

class ExtractorByHandTest : public PyroHarness {};

TEST_F(ExtractorByHandTest, RejectsManualStart) {
  const ProcessResult result = pyro({"__extract"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
}

TEST_F(ExtractorByHandTest, IsNotListedInHelp) {
  expect_hides(pyro_ok({"--help"}).out, {"__extract"});
}

}  // namespace
}  // namespace pyro::testing
