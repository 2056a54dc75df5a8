#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pyro/error.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

/// What `script` writes to its descriptor 1.
class SubprocessTest : public ::testing::Test {
 protected:
  std::string output_of(ProcessStart start, const std::string& script = {}) {
    const std::string path = (dir_ / "output").string();
    const Fd output(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (start.program.empty()) start.program = "/bin/sh";
    if (start.arguments.empty()) start.arguments = {"sh", "-c", script};
    start.descriptors.resize(std::max<std::size_t>(start.descriptors.size(), 3), -1);
    start.descriptors[STDOUT_FILENO] = output.get();
    start.descriptors[STDERR_FILENO] = output.get();
    EXPECT_EQ(Subprocess(start, "a shell").wait().exit_code, 0);
    return testing::read_file(path);
  }

  static std::string error_of(const ProcessStart& start) {
    try {
      const Subprocess started(start, "a program");
    } catch (const Error& error) {
      return error.what();
    }
    return "it was started";
  }

  /// The mask of that name in the text of /proc/PID/status.
  static std::uint64_t signals_in(const std::string& status, const std::string& mask) {
    return std::stoull(status.substr(status.find(mask) + mask.size()), nullptr, 16);
  }

  testing::TempDir dir_;
};

TEST_F(SubprocessTest, PassesOnlyGivenArgumentsAndVariables) {
  EXPECT_EQ(output_of({.variables = {"A=1", "B= 2"}}, "echo \"$A,$B,$HOME,$0\""), "1, 2,,sh\n");
}

TEST_F(SubprocessTest, PassesOnlyGivenDescriptors) {
  const Fd one(::open("/", O_RDONLY | O_CLOEXEC));
  const Fd other(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int leaked = ::open("/dev", O_RDONLY);  // NOLINT(android-cloexec-open): as hosts do
  const Fd leak(leaked);
  const std::string list =
      "for fd in 0 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || readlink /proc/$$/fd/$fd; done";
  // Each in the place of the other, as far as the test's own numbers allow.
  std::vector<int> descriptors(static_cast<std::size_t>(std::max(one.get(), other.get())) + 1, -1);
  descriptors[static_cast<std::size_t>(one.get())] = other.get();
  descriptors[static_cast<std::size_t>(other.get())] = one.get();
  ProcessStart start{.descriptors = descriptors};
  const std::string expected =
      one.get() < other.get() ? "/dev/null\n/usr\n/\n" : "/dev/null\n/\n/usr\n";
  EXPECT_EQ(output_of(start, list), expected);
}

TEST_F(SubprocessTest, ResetsSignalActionsAndMask) {
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const auto handler = ::signal(SIGUSR2, SIG_IGN);
  const std::string status = output_of({}, "cat /proc/self/status");
  ::signal(SIGUSR2, handler);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // The C library keeps 32 and 33 to itself: no program can set their actions through it, and some
  // parents leave them ignored.
  constexpr std::uint64_t kSettable = ~(std::uint64_t{3} << 31);
  EXPECT_EQ(signals_in(status, "SigBlk:"), 0);
  EXPECT_EQ(signals_in(status, "SigIgn:") & kSettable, 0);
}

TEST_F(SubprocessTest, BlocksAllSignalsExceptCrashSignals) {
  // No shell, which would change them.
  const std::string state = output_of({.program = "/bin/grep",
                                       .arguments = {"grep", "SigBlk", "/proc/self/status"},
                                       .signals = ProcessStart::Signals::blocked});
  const std::uint64_t blocked = signals_in(state, "SigBlk:");
  const auto is_blocked = [&](int number) { return (blocked >> (number - 1) & 1) != 0; };
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGTSTP}) {
    EXPECT_TRUE(is_blocked(number)) << number;
  }
  for (const int number : {SIGSEGV, SIGSYS, SIGABRT}) EXPECT_FALSE(is_blocked(number)) << number;
}

TEST_F(SubprocessTest, LeadsProcessGroupInOldOrNewSession) {
  const std::string numbers = "read -r pid name state parent group session rest < /proc/$$/stat; ";
  EXPECT_EQ(output_of({}, numbers + "[ $pid = $group ] && [ $pid != $session ] && echo yes"),
            "yes\n");
  EXPECT_EQ(output_of({.group = ProcessStart::Group::in_new_session},
                      numbers + "[ $pid = $group ] && [ $pid = $session ] && echo yes"),
            "yes\n");
}

TEST_F(SubprocessTest, KillGroupEndsGrandchildren) {
  const Fd end = [&] {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const Fd write(pipe[1]);
    Subprocess shell({.program = "/bin/sh",
                      .arguments = {"sh", "-c", "sleep 600 & echo; wait"},
                      .descriptors = {-1, write.get()}},
                     "a shell");
    char byte = 0;
    EXPECT_EQ(::read(pipe[0], &byte, 1), 1);
    shell.kill_group();
    return Fd(pipe[0]);
  }();
  char byte = 0;
  EXPECT_EQ(::read(end.get(), &byte, 1), 0) << "what it started has the pipe open no more";
}

TEST_F(SubprocessTest, StartErrorNamesCause) {
  EXPECT_EQ(error_of({.program = dir_ / "missing"}),
            "cannot start a program: No such file or directory");
  EXPECT_EQ(error_of({.program = "/"}), "cannot start a program: Permission denied");
  EXPECT_EQ(error_of({.program = "/bin/true",
                      .confine =
                          [] {
                            errno = ENOSYS;
                            return false;
                          }}),
            "cannot start a program: Function not implemented");
}

TEST_F(SubprocessTest, ConfinesChildOnly) {
  const mode_t before = ::umask(022);
  const std::string mask = output_of({.confine =
                                          [] {
                                            ::umask(077);
                                            return true;
                                          }},
                                     "umask");
  EXPECT_EQ(::umask(before), 022U);
  EXPECT_EQ(mask, "0077\n");
}

TEST_F(SubprocessTest, StartsChildWithFewerDescriptorsThanAreOpen) {
  constexpr rlim_t kFew = 16;
  std::vector<Fd> many;
  while (many.empty() || many.back().get() < 4 * static_cast<int>(kFew)) {
    many.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(many.back());
  }
  const ProcessStart start{.descriptors = {-1, -1, -1, many.back().get()}, .confine = [] {
                             const rlimit limit{kFew, kFew};
                             return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
                           }};
  EXPECT_EQ(output_of(start, "ulimit -n; readlink /proc/$$/fd/3"), "16\n/\n");
}

TEST_F(SubprocessTest, ReportsTooManyOpenFiles) {
  ProcessStart start{.program = "/bin/true", .descriptors = std::vector<int>(3, -1)};
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The pipe and /dev/null take the last ones that there are.
  std::vector<Fd> all;
  const rlimit limit{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  for (Fd fd; (fd = Fd(::open("/", O_RDONLY | O_CLOEXEC)));) all.push_back(std::move(fd));
  all.resize(all.size() - 3);
  const std::string error = error_of(start);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(error, "cannot start a program: Too many open files");
}

}  // namespace
}  // namespace pyro
