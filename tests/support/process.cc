// Runs a program to its end for a test, with a time limit.
#include "support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/file_descriptor.h"
#include "support/spawn.h"

namespace pyro::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPollInterval{5};
// A descendant in another process group may keep the outputs open for ever.
constexpr Milliseconds kDrainTime{1'000};

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    read = FileDescriptor(ends[0]);
    write = FileDescriptor(ends[1]);
  }
  FileDescriptor read;
  FileDescriptor write;
};

// Keeps SIGPIPE from the test while it writes to a command that no longer reads.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~SigpipeGuard() {
    const timespec now{};
    if (raised_) sigtimedwait(&set_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  void raised() { raised_ = true; }

 private:
  sigset_t set_{};
  sigset_t before_{};
  bool raised_ = false;
};

// One command from start to end: feeds its input and collects its outputs and the report.
class Runner {
 public:
  explicit Runner(const Command& command)
      : command_(command), deadline_(Clock::now() + command.timeout) {
    for (Pipe* pipe : {&in_, &out_, &err_, &report_}) make_parent_side_nonblocking(*pipe);
    const auto program = find_program(command.argv.at(0));
    if (!program) throw std::runtime_error("no such program: " + command.argv[0]);
    std::vector<std::string> argv{PYRO_TEST_LAUNCHER, program->string()};
    argv.insert(argv.end(), command.argv.begin(), command.argv.end());
    pid_ = spawn(argv, command,
                 {in_.read.get(), out_.write.get(), err_.write.get(), report_.write.get()});
    in_.read.reset();
    for (Pipe* pipe : {&out_, &err_, &report_}) pipe->write.reset();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() { finish(); }

  ProcessResult run() {
    while (report_.read || ((out_.read || err_.read) && Clock::now() < drain_deadline_)) step();
    finish();
    parse_report();
    return std::move(result_);
  }

 private:
  void make_parent_side_nonblocking(Pipe& pipe) {
    ::fcntl((&pipe == &in_ ? pipe.write : pipe.read).get(), F_SETFL, O_NONBLOCK);
  }

  void step() {
    std::array<pollfd, 4> fds{{{in_.write.get(), POLLOUT, 0},
                               {out_.read.get(), POLLIN, 0},
                               {err_.read.get(), POLLIN, 0},
                               {report_.read.get(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), remaining_ms());
    if (fds[0].revents != 0) feed();
    if (fds[1].revents != 0) drain(out_.read, result_.out);
    if (fds[2].revents != 0) drain(err_.read, result_.err);
    if (fds[3].revents != 0 && drain(report_.read, report_text_)) command_ended();
    if (report_.read && Clock::now() >= deadline_) {
      result_.timed_out = true;
      ::kill(-pid_, SIGKILL);
      deadline_ = Clock::time_point::max();
    }
  }

  int remaining_ms() const {
    const auto until = report_.read ? deadline_ : drain_deadline_;
    if (until == Clock::time_point::max()) return 1'000;
    const auto left = std::chrono::duration_cast<Milliseconds>(until - Clock::now()).count() + 1;
    return static_cast<int>(std::max<std::int64_t>(0, std::min<std::int64_t>(left, 60'000)));
  }

  void feed() {
    const std::string& text = command_.stdin_text;
    const ssize_t wrote =
        fed_ == text.size() ? 0 : ::write(in_.write.get(), text.data() + fed_, text.size() - fed_);
    if (wrote < 0 && errno == EPIPE) sigpipe_.raised();
    if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (wrote > 0) fed_ += static_cast<std::size_t>(wrote);
    if (wrote < 0 || fed_ == text.size()) in_.write.reset();
  }

  // True when the other side closed it.
  static bool drain(FileDescriptor& fd, std::string& into) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) into.append(buffer.data(), static_cast<std::size_t>(got));
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return false;
    fd.reset();
    return true;
  }

  void command_ended() {
    drain_deadline_ = Clock::now() + kDrainTime;
    ::kill(-pid_, SIGKILL);  // what the command left behind in its group
  }

  // Kills before it reaps: until then the group's number cannot be reused.
  void finish() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

  void parse_report() {
    int status = SIGKILL;  // the launcher was killed with the command
    std::int64_t microseconds = 0;
    std::istringstream(report_text_) >> status >> result_.max_rss_kib >> microseconds;
    result_.processor_time = std::chrono::microseconds(microseconds);
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
  }

  const Command& command_;
  SigpipeGuard sigpipe_;
  Clock::time_point deadline_;
  Clock::time_point drain_deadline_ = Clock::time_point::max();
  Pipe in_, out_, err_, report_;
  std::string report_text_;
  std::size_t fed_ = 0;
  pid_t pid_ = -1;
  ProcessResult result_;
};

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

ProcessResult run(const Command& command) {
  return Runner(command).run();
}

ProcessResult run_checked(const Command& command) {
  ProcessResult result = run(command);
  if (result.exit_code == 0) return result;
  throw std::runtime_error(
      fmt::format("{}: exit code {}, signal {}{}\n{}{}", join(command.argv), result.exit_code,
                  result.signal, result.timed_out ? ", timed out" : "", result.out, result.err));
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return std::filesystem::absolute(name);
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto candidate = std::filesystem::absolute(std::filesystem::path(folder) / name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

bool eventually(const std::function<bool()>& condition, Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

}  // namespace pyro::testing
