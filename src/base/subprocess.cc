// A child process.
#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>

#include "base/files.h"

namespace pyro {
namespace {

constexpr int kNotStarted = 127;

/// Pointers into `words` and a null at the end, for execve(2).
std::vector<char*> exec_words(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

constexpr std::array kCrashes = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};

sigset_t all_but_crashes() {
  sigset_t set;
  ::sigfillset(&set);
  for (const int crash : kCrashes) ::sigdelset(&set, crash);
  return set;
}

/// The handlers of this process must not run in the child, which shares its memory.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

/// The child between vfork() and exec, with everything allocated before. On failure, it writes
/// errno to `report`, which exec closes.
class Child {
 public:
  Child(const ProcessStart& start, int report)
      : start_(start),
        report_(report),
        arguments_(exec_words(start.arguments)),
        variables_(exec_words(start.variables)),
        descriptors_(start.descriptors) {
    descriptors_.resize(std::max<std::size_t>(descriptors_.size(), STDERR_FILENO + 1), -1);
    if (start.signals == ProcessStart::Signals::blocked) mask_ = all_but_crashes();
    std::replace(descriptors_.begin(), descriptors_.begin() + STDERR_FILENO + 1, -1, null_.get());
  }

  [[noreturn]] void become() noexcept {
    if (prepare()) {
      ::execve(start_.program.c_str(), arguments_.data(), variables_.data());
    }
    const int error = errno;
    static_cast<void>(!::write(report_, &error, sizeof error));
    ::_exit(kNotStarted);
  }

 private:
  bool prepare() noexcept {
    reset_signals();
    if (start_.group == ProcessStart::Group::in_new_session) {
      ::setsid();
    } else {
      ::setpgid(0, 0);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent_) ::_exit(kNotStarted);
    // In this order: confine() uses descriptors that arrange_descriptors() closes, and may limit
    // their number.
    return move_descriptors_away() && start_.confine() && arrange_descriptors() &&
           ::sigprocmask(SIG_SETMASK, &mask_, nullptr) == 0;
  }

  static void reset_signals() noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  }

  [[nodiscard]] int beyond() const noexcept { return static_cast<int>(descriptors_.size()); }

  // A descriptor may have the number that another one will get.
  bool move_descriptors_away() noexcept {
    const int report = ::fcntl(report_, F_DUPFD_CLOEXEC, beyond());
    if (report < 0) return false;
    report_ = report;
    return std::ranges::all_of(descriptors_, [&](int& fd) {
      return fd < 0 || (fd = ::fcntl(fd, F_DUPFD_CLOEXEC, beyond())) >= 0;
    });
  }

  bool arrange_descriptors() noexcept {
    for (int number = 0; number < beyond(); ++number) {
      if (const int fd = descriptors_[static_cast<std::size_t>(number)]; fd < 0) {
        ::close(number);
      } else if (::dup2(fd, number) < 0) {
        return false;
      }
    }
    if (report_ != beyond() && ::dup3(report_, beyond(), O_CLOEXEC) < 0) return false;
    report_ = beyond();
    if (::close_range(static_cast<unsigned>(beyond()) + 1, ~0U, 0) != 0) {
      for (int fd = beyond() + 1; fd < 1024; ++fd) ::close(fd);  // before Linux 5.9
    }
    return true;
  }

  const ProcessStart& start_;
  int report_;
  const std::vector<char*> arguments_;
  const std::vector<char*> variables_;
  const Fd null_ = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  const pid_t parent_ = ::getpid();
  sigset_t mask_{};
  std::vector<int> descriptors_;
};

// Without copying the page tables of this process, which may be large.
pid_t start_in_own_memory(Child& child) {
  const AllSignalsBlocked blocked;
  const pid_t pid = ::vfork();
  if (pid == 0) child.become();
  return pid;
}

/// 0 when the program was executed.
int read_error(int reports) {
  int error = 0;
  uninterrupted([&] { return ::read(reports, &error, sizeof error); });
  return error;
}

pid_t start_process(const ProcessStart& start, const std::string& what) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("cannot start " + what, errno);
  const Fd reports(ends[0]);
  Fd report(ends[1]);
  Child child(start, report.get());
  const pid_t pid = start_in_own_memory(child);
  if (pid < 0) throw system_error("cannot start " + what, errno);
  report.reset();
  const int error = read_error(reports.get());
  if (error == 0) return pid;
  uninterrupted([&] { return ::waitpid(pid, nullptr, 0); });
  throw system_error("cannot start " + what, error);
}

}  // namespace

Pipe::Pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
  read = Fd(ends[0]);
  write = Fd(ends[1]);
}

std::vector<std::string> own_variables() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

bool ProcessEnd::is_crash() const noexcept {
  return std::ranges::find(kCrashes, signal) != kCrashes.end();
}

std::filesystem::path find_program(const std::string& path, const std::string& name) {
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::filesystem::path directory = path.substr(begin, end - begin);
    std::filesystem::path program = directory / name;
    if (directory.is_absolute() && ::access(program.c_str(), X_OK) == 0) return program;
    begin = end + 1;
  }
  return {};
}

int signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < NSIG; ++number) {
    const char* const known = ::sigabbrev_np(number);
    if (std::to_string(number) == name || (known != nullptr && name == known)) return number;
  }
  return 0;
}

Subprocess::Subprocess(const ProcessStart& start, const std::string& what)
    : pid_(start_process(start, what)),
      handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))) {
  if (handle_) return;
  const int error = errno;
  ::kill(pid_, SIGKILL);
  uninterrupted([&] { return ::waitpid(pid_, nullptr, 0); });
  throw system_error("cannot watch over " + what, error);
}

Subprocess::~Subprocess() {
  kill();
  wait();
}

// By its pidfd, never by its number: after a host program reaped all of its children, the number
// may belong to another process.
void Subprocess::kill() noexcept {
  ::syscall(SYS_pidfd_send_signal, handle_.get(), SIGKILL, nullptr, 0);
}

// The number is the leader's as long as it was not reaped.
void Subprocess::kill_group(int signal) noexcept {
  if (!ended_) ::kill(-pid_, signal);
}

ProcessEnd Subprocess::wait() noexcept {
  if (std::exchange(ended_, true)) return end_;
  pollfd ended{handle_.get(), POLLIN, 0};
  uninterrupted([&] { return ::poll(&ended, 1, -1); });
  siginfo_t info{};
  // Fails where a host program reaped it already, or ignores SIGCHLD.
  const auto handle = static_cast<id_t>(handle_.get());
  if (uninterrupted([&] { return ::waitid(P_PIDFD, handle, &info, WEXITED); }) != 0) return end_;
  if (info.si_code == CLD_EXITED) {
    end_.exit_code = info.si_status;
  } else {
    end_.signal = info.si_status;
  }
  return end_;
}

}  // namespace pyro
