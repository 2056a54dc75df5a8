// Tests of the extractor's policy: forbidden operations fail.
#include "sandbox/policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

/// A directory with a file and a socket for the probe to attack.
class PolicyTest : public ::testing::Test {
 protected:
  static constexpr int kNotInThisKernel = 77;

  PolicyTest() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    testing::write_file(dir_ / "there", "something");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (dir_ / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
  }

  testing::ProcessResult probe(const std::string& how) const {
    return testing::run({.argv = {PYRO_PROBE, how, dir_.path().string()}});
  }

  /// The errors by attempt.
  static std::map<std::string, int> errors(const testing::ProcessResult& result) {
    std::map<std::string, int> all;
    std::istringstream lines(result.out);
    int error = 0;
    for (std::string what; lines >> what >> error;) all[what] = error;
    return all;
  }

  static bool refused(int error) { return error == EPERM || error == EACCES; }

  void expect_untouched() const {
    EXPECT_EQ(testing::tree(dir_.path()), before_);
    EXPECT_EQ(testing::read_file(dir_ / "there"), "something");
  }

  void SetUp() override { before_ = testing::tree(dir_.path()); }

  testing::TempDir dir_;
  Fd listener_;
  std::vector<std::string> before_;
};

TEST_F(PolicyTest, AttemptsSucceedWithoutPolicy) {
  const auto result = probe("free");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const auto& [what, error] : errors(result)) EXPECT_FALSE(refused(error)) << what;
  EXPECT_NE(testing::tree(dir_.path()), before_);
}

TEST_F(PolicyTest, LandlockAloneRefusesPaths) {
  const auto result = probe("landlock");
  if (result.exit_code == kNotInThisKernel) GTEST_SKIP() << "this kernel has no Landlock";
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto all = errors(result);
  for (const char* what : {"open", "openat", "openat2", "creat", "mkdir", "symlink", "rename",
                           "unlink", "execve", "ptrace"}) {
    ASSERT_TRUE(all.contains(what)) << what;
    EXPECT_TRUE(refused(all.at(what))) << what << ' ' << all.at(what);
  }
}

TEST_F(PolicyTest, RefusesEveryAttempt) {
  const auto result = probe("box");
  if (result.exit_code == kNotInThisKernel) GTEST_SKIP() << "this kernel does not have all of it";
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto all = errors(result);
  EXPECT_EQ(all.size(), 34U);
  for (const auto& [what, error] : all) {
    if (what == "clone3") {
      EXPECT_EQ(error, ENOSYS);  // so that the C library takes clone
    } else {
      EXPECT_TRUE(refused(error)) << what << ' ' << error;
    }
  }
  expect_untouched();
}

// A library may look for a file, and do without.
TEST_F(PolicyTest, KillsProcessOnCallsThatNoLibraryNeeds) {
  const auto result = probe("killed");
  if (result.exit_code == kNotInThisKernel) GTEST_SKIP() << "this kernel does not have all of it";
  EXPECT_EQ(result.signal, SIGSYS);
  EXPECT_EQ(result.out, "open 13\nopenat 13\n");
  expect_untouched();
}

TEST_F(PolicyTest, RefusesThreadsOnceSealed) {
  const auto result = probe("sealed");
  if (result.exit_code == kNotInThisKernel) GTEST_SKIP() << "this kernel does not have all of it";
  EXPECT_EQ(result.out, "thread 1\n");
}

TEST_F(PolicyTest, DropsAllCapabilities) {
  const std::string status = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";
  const PreparedPolicy policy({.paths = {{PathRule::Rights::read_and_execute, "/"}}});
  const std::string path = (dir_ / "status").string();
  const Fd output(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  Subprocess shell({.program = "/bin/sh",
                    .arguments = {"sh", "-c", status},
                    .variables = {"PATH=/usr/bin:/bin"},
                    .descriptors = {-1, output.get()},
                    .confine = [&] { return policy.apply(); }},
                   "a shell");
  ASSERT_EQ(shell.wait().exit_code, 0);
  std::istringstream lines(testing::read_file(path));
  std::string field;
  std::string value;
  int seen = 0;
  for (; lines >> field >> value; ++seen) {
    if (field == "NoNewPrivs:") {
      EXPECT_EQ(value, "1");
    } else if (field != "CapBnd:" || ::geteuid() == 0) {
      EXPECT_EQ(value, "0000000000000000") << field;
    }
  }
  EXPECT_EQ(seen, 6);
}

TEST(PolicyGaps, NamesMissingFeatures) {
  EXPECT_EQ(gaps_in({true, 7, true}), "");
  EXPECT_EQ(gaps_in({false, 0, false}), "no_new_privs, Landlock, seccomp");
  EXPECT_EQ(gaps_in({true, 4, true}), "Landlock for signals and abstract sockets");
}

}  // namespace
}  // namespace pyro
