// A program that runs beside a test and ends with it.
#include "support/background_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

#include "support/file_descriptor.h"
#include "support/spawn.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPollInterval{5};

FileDescriptor open_file(const std::filesystem::path& file, int flags) {
  FileDescriptor fd(::open(file.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) throw std::runtime_error("cannot open " + file.string());
  return fd;
}

std::chrono::microseconds microseconds_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

BackgroundProcess::BackgroundProcess(const Command& command, std::filesystem::path output_file,
                                     std::filesystem::path error_file)
    : output_file_(std::move(output_file)), error_file_(std::move(error_file)) {
  constexpr int kWrite = O_WRONLY | O_CREAT | O_APPEND;
  const FileDescriptor in = open_file("/dev/null", O_RDONLY);
  const FileDescriptor out = open_file(output_file_, kWrite);
  const FileDescriptor err = open_file(error_file_.empty() ? output_file_ : error_file_, kWrite);
  pid_ = spawn(command.argv, command, {in.get(), out.get(), err.get()});
}

BackgroundProcess::~BackgroundProcess() {
  terminate();
}

bool BackgroundProcess::running() {
  return !reap(Milliseconds(0));
}

void BackgroundProcess::send_signal(int signal) {
  if (running()) ::kill(pid_, signal);
}

void BackgroundProcess::wait_until(std::string_view what, const std::function<bool()>& condition,
                                   Milliseconds timeout) {
  bool held = false;
  const bool in_time = eventually(
      [&] {
        held = condition();
        return held || !running();
      },
      timeout);
  if (held) return;
  throw std::runtime_error(fmt::format("{} while waiting until {}:\n{}",
                                       in_time ? "the process ended" : "time ran out", what,
                                       output()));
}

ProcessResult BackgroundProcess::wait(Milliseconds timeout) {
  const bool ended = reap(timeout);
  if (!ended) {
    ::kill(-pid_, SIGKILL);
    reap(Milliseconds::max());
  }
  return result(!ended);
}

ProcessResult BackgroundProcess::terminate(Milliseconds grace) {
  if (running()) {
    ::kill(-pid_, SIGTERM);
    if (!reap(grace)) ::kill(-pid_, SIGKILL);
    reap(Milliseconds::max());
  }
  return result(false);
}

std::string BackgroundProcess::output() const {
  return read_file(output_file_);
}

// True when it has ended. Its group is killed before its number becomes free.
bool BackgroundProcess::reap(Milliseconds timeout) {
  const auto deadline =
      timeout == Milliseconds::max() ? Clock::time_point::max() : Clock::now() + timeout;
  while (!reaped_) {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (info.si_pid == pid_) {
      ::kill(-pid_, SIGKILL);
      int status = 0;
      rusage usage{};
      ::wait4(pid_, &status, 0, &usage);
      reaped_ = true;
      if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
      result_.max_rss_kib = usage.ru_maxrss;
      result_.processor_time = microseconds_of(usage.ru_utime) + microseconds_of(usage.ru_stime);
    } else if (Clock::now() >= deadline) {
      return false;
    } else {
      std::this_thread::sleep_for(kPollInterval);
    }
  }
  return true;
}

ProcessResult BackgroundProcess::result(bool timed_out) const {
  ProcessResult result = result_;
  result.timed_out = timed_out;
  result.out = output();
  if (!error_file_.empty()) result.err = read_file(error_file_);
  return result;
}

}  // namespace pyro::testing
