// What can still be done from within the box: nothing.
#include "sandbox/confinement.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/files.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

/// A directory with something in it to do harm to.
class ConfinementTest : public ::testing::Test {
 protected:
  static constexpr int kNotInThisKernel = 77;

  ConfinementTest() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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

TEST_F(ConfinementTest, WithoutItAllIsPossible) {
  const auto result = probe("free");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const auto& [what, error] : errors(result)) EXPECT_FALSE(refused(error)) << what;
  EXPECT_NE(testing::tree(dir_.path()), before_);
}

TEST_F(ConfinementTest, LandlockAloneRefusesPaths) {
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

class ListedTest : public ConfinementTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ListedTest, EveryAttemptIsRefused) {
  const auto result = probe(GetParam());
  if (result.exit_code == kNotInThisKernel) {
    GTEST_SKIP() << "this kernel does not have all of it";
  }
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto all = errors(result);
  EXPECT_EQ(all.size(), 25U);
  for (const auto& [what, error] : all) {
    if (what == "clone3") {
      EXPECT_EQ(error, ENOSYS);  // so that the C library takes clone
    } else {
      EXPECT_TRUE(refused(error)) << what << ' ' << error;
    }
  }
  expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(All, ListedTest, ::testing::Values("seccomp", "box"),
                         [](const auto& row) { return std::string(row.param); });

TEST_F(ConfinementTest, TheFirstAttemptIsTheLast) {
  const auto result = probe("killed");
  if (result.exit_code == kNotInThisKernel) {
    GTEST_SKIP() << "this kernel does not have all of it";
  }
  EXPECT_EQ(result.signal, SIGSYS);
  EXPECT_EQ(result.out, "");
  expect_untouched();
}

}  // namespace
}  // namespace pyro
