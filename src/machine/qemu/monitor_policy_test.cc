// Tests of a monitor's policy.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <sstream>
#include <string>

#include "machine/qemu/monitor_process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

class MonitorPolicyTest : public ::testing::Test {
 protected:
  MonitorPolicyTest() {
    for (const char* name : {"there", "socket"}) testing::write_file(dir_ / name, "something");
  }

  /// The errors by attempt, of the probe in the place of a monitor.
  std::map<std::string, int> attempts(MonitorStart start) {
    const std::string path = (output_ / "output").string();
    const Fd output(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    start.program = PYRO_PROBE;
    start.arguments = {"given", dir_.path().string()};
    start.output = output.get();
    start.limits = {.address_space = kMonitorOverhead, .largest_file = 1 << 20};
    EXPECT_EQ(Subprocess(monitor_start(start), "the probe").wait().exit_code, 0);
    std::map<std::string, int> all;
    std::istringstream lines(testing::read_file(path));
    int error = 0;
    for (std::string what; lines >> what >> error;) all[what] = error;
    return all;
  }

  static bool lacks_something() {
    return !gaps_in(PreparedPolicy(monitor_policy({.program = PYRO_PROBE})).confinement()).empty();
  }

  testing::TempDir dir_;
  testing::TempDir output_;
};

TEST_F(MonitorPolicyTest, ReachesNoFileSocketOrProcess) {
  if (lacks_something()) GTEST_SKIP() << "this kernel does not have all of it";
  const auto before = testing::tree(dir_.path());
  const auto all = attempts({});
  for (const char* what :
       {"open", "openat", "openat2", "creat", "truncate", "mkdir", "symlink", "rename", "chmod",
        "unlink", "utimensat", "socket", "kill", "process_vm_readv", "ptrace", "io_uring_setup"}) {
    ASSERT_TRUE(all.contains(what)) << what;
    EXPECT_TRUE(all.at(what) == EPERM || all.at(what) == EACCES) << what << ' ' << all.at(what);
  }
  EXPECT_EQ(testing::tree(dir_.path()), before);
  EXPECT_EQ(testing::read_file(dir_ / "there"), "something");
}

TEST_F(MonitorPolicyTest, ChangesNoAttributeOfAFile) {
  if (!PreparedPolicy(monitor_policy({})).confinement().seccomp) {
    GTEST_SKIP() << "this kernel does not filter system calls";
  }
  const auto all = attempts({});
  for (const char* what : {"chmod", "fchmodat2", "utimensat", "removexattrat", "change_flags"}) {
    EXPECT_EQ(all.at(what), EPERM) << what;
  }
}

TEST_F(MonitorPolicyTest, ConnectsToInternetOnlyWithNetwork) {
  if (lacks_something()) GTEST_SKIP() << "this kernel does not have all of it";
  const auto all = attempts({.network = true});
  EXPECT_EQ(all.at("socket"), 0);
  EXPECT_EQ(all.at("connect_internet"), ECONNREFUSED);
  EXPECT_EQ(all.at("connect_local"), EBADF) << "a socket of another kind was made";
  EXPECT_EQ(all.at("open"), EACCES);
}

TEST_F(MonitorPolicyTest, OpensGivenFilesWithGivenRightsOnly) {
  if (lacks_something()) GTEST_SKIP() << "this kernel does not have all of it";
  const Fd there(::open((dir_ / "there").c_str(), O_RDONLY | O_CLOEXEC));
  const auto readable = attempts({.files = {{.descriptor = there.get()}}});
  EXPECT_EQ(readable.at("open"), 0);
  EXPECT_EQ(readable.at("openat"), EACCES) << "it was opened for writing";
  const auto writable = attempts(
      {.files = {{.rights = PathRule::Rights::read_and_write, .descriptor = there.get()}}});
  EXPECT_EQ(writable.at("openat"), 0);
  EXPECT_EQ(writable.at("truncate"), EACCES);
}

}  // namespace
}  // namespace pyro
