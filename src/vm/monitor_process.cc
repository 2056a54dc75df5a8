// How a monitor is started.
#include "vm/monitor_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/exec_words.h"
#include "base/files.h"
#include "pyro/error.h"
#include "vm/deadline.h"
#include "vm/words.h"

namespace pyro {
namespace {

constexpr int kDescriptorLimit = 256;

/// What a monitor that emulates works with, in large pages and taken in few steps: 7 % of the
/// processor time of a short run (the GNU C library's manual, Memory Allocation Tunables).
constexpr const char* kMemoryInLargePages =
    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.top_pad=67108864";

/// What the child needs, made before the fork: after it, nothing may be allocated.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<char*> variables;
  std::vector<int> descriptors;
  pid_t parent = ::getpid();
};

bool limit(__rlimit_resource what, std::uint64_t value) {
  const rlimit both{value, value};
  return ::setrlimit(what, &both) == 0;
}

bool set_limits(const MonitorLimits& limits) {
  return limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, kDescriptorLimit) &&
         limit(RLIMIT_FSIZE, limits.largest_file) && limit(RLIMIT_AS, limits.address_space);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Out of the way first: a descriptor may have the number that another one is to get.
bool arrange(std::vector<int>& descriptors, int complaints) {
  const int beyond = kFirstMonitorDescriptor + static_cast<int>(descriptors.size());
  complaints = ::fcntl(complaints, F_DUPFD, beyond);
  for (int& fd : descriptors) {
    if (fd >= 0) fd = ::fcntl(fd, F_DUPFD, beyond);
  }
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (::dup2(null, STDIN_FILENO) < 0 || ::dup2(complaints, STDOUT_FILENO) < 0 ||
      ::dup2(complaints, STDERR_FILENO) < 0) {
    return false;
  }
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int wanted = kFirstMonitorDescriptor + static_cast<int>(i);
    if (descriptors[i] < 0)
      ::close(wanted);
    else if (::dup2(descriptors[i], wanted) < 0)
      return false;
  }
  if (::close_range(static_cast<unsigned>(beyond), ~0U, 0) != 0) {
    for (int fd = beyond; fd < 1024; ++fd) ::close(fd);  // before Linux 5.9
  }
  return true;
}

[[noreturn]] void become(const MonitorStart& start, Prepared& prepared) {
  reset_signals();
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != prepared.parent) ::_exit(127);
  if (arrange(prepared.descriptors, start.complaints) && set_limits(start.limits)) {
    ::execve(start.program.c_str(), prepared.arguments.data(), prepared.variables.data());
  }
  constexpr std::string_view kComplaint = "pyro: cannot start the machine monitor\n";
  static_cast<void>(!::write(STDERR_FILENO, kComplaint.data(), kComplaint.size()));
  ::_exit(127);
}

}  // namespace

pid_t start_monitor(const MonitorStart& start) {
  std::vector<std::string> words{start.program.string()};
  words.insert(words.end(), start.arguments.begin(), start.arguments.end());
  // Of the user's variables some may hold secrets, and a monitor needs none.
  std::vector<std::string> variables{"PATH=/usr/bin:/bin", kMemoryInLargePages};
  Prepared prepared{exec_words(words), exec_words(variables), start.descriptors};
  const pid_t pid = ::fork();
  if (pid == 0) become(start, prepared);
  if (pid < 0) throw system_error("cannot start " + start.program.string(), errno);
  return pid;
}

MonitorAnswer ask_monitor(const std::filesystem::path& program, std::vector<std::string> arguments,
                          std::vector<int> descriptors, std::chrono::milliseconds patience) {
  SocketPair output = make_pipe();
  Words said(std::move(output.ours));
  ProcessHandle process(start_monitor({.program = program,
                                       .arguments = std::move(arguments),
                                       .descriptors = std::move(descriptors),
                                       .complaints = output.theirs.get(),
                                       .limits = {.address_space = kMonitorOverhead}}),
                        "the machine monitor");
  MonitorAnswer answer;
  if (wait_to_read(process.descriptor(), Clock::now() + patience)) answer.end = process.wait();
  said.take_in();
  answer.first_line = first_line(said.last());
  return answer;
}

}  // namespace pyro
