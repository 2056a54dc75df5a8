// Watches over the extractor from outside.
#include "sandbox/extraction_watch.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::chrono::nanoseconds processor_time(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// By a signal. Its end stays to be waited for.
bool is_stopped(pid_t process) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(process), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == process;
}

/// From proc(5): "PID (NAME) STATE ...", where the name may hold anything.
char state_of_thread(const fs::path& thread) {
  std::ifstream file(thread / "stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end_of_name = line.rfind(") ");
  return end_of_name == std::string::npos ? '?' : line[end_of_name + 2];
}

/// Whether one of its threads runs, or would if there were a processor or a disk for it, or if a
/// debugger let it. Where that is hidden (hidepid), it counts as true.
bool wants_to_run(pid_t process) {
  std::error_code hidden;
  for (fs::directory_iterator thread("/proc/" + std::to_string(process) + "/task", hidden), end;
       !hidden && thread != end; thread.increment(hidden)) {
    const char state = state_of_thread(thread->path());
    if (state == 'R' || state == 'D' || state == 't') return true;
  }
  return static_cast<bool>(hidden);
}

}  // namespace

bool StallWatch::has_stalled() {
  const auto used = processor_time(process_);
  const bool works = used != used_ || (!is_stopped(process_) && wants_to_run(process_));
  used_ = used;
  idle_steps_ = works ? 0 : idle_steps_ + 1;
  return idle_steps_ >= most_;
}

std::uint64_t total_size(std::span<const int> files) noexcept {
  std::uint64_t total = 0;
  for (const int file : files) {
    struct stat status {};
    if (::fstat(file, &status) == 0) total += static_cast<std::uint64_t>(status.st_size);  // < 2^63
  }
  return total;
}

}  // namespace pyro
