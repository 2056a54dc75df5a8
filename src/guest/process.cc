// A process, from its words and streams.
#include "guest/process.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

namespace pyro::guest {
namespace {

constexpr const char* kHome = "/root";

enum class Step : int { directory, program };

struct Report {
  int error_number;
  Step step;
};

/// What a login would set; the first of two variables with one name counts.
std::vector<std::string> environment(const CommandRequest& request, bool terminal) {
  std::vector<std::string> result;
  const auto add = [&](const std::string& variable) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    for (const std::string& other : result) {
      if (other.starts_with(name)) return;
    }
    result.push_back(variable);
  };
  for (auto it = request.variables.rbegin(); it != request.variables.rend(); ++it) add(*it);
  for (const char* const variable :
       {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
        "USER=root", "LOGNAME=root", "LANG=C.UTF-8"}) {
    add(variable);
  }
  if (terminal) add("TERM=xterm");
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void take_streams(const StandardStreams& streams, bool terminal) {
  ::setsid();
  if (terminal) ::ioctl(streams.in, TIOCSCTTY, 0);
  ::dup2(streams.in, STDIN_FILENO);
  ::dup2(streams.out, STDOUT_FILENO);
  ::dup2(streams.error, STDERR_FILENO);
}

[[noreturn]] void fail(int report, Step step) {
  const Report text{errno, step};
  static_cast<void>(!::write(report, &text, sizeof text));
  ::_exit(127);
}

bool enter_directory(const std::string& directory) {
  if (!directory.empty()) return ::chdir(directory.c_str()) == 0;
  return ::chdir(kHome) == 0 || ::chdir("/") == 0;
}

[[noreturn]] void become(std::vector<char*>& arguments, std::vector<char*>& variables,
                         const CommandRequest& request, const StandardStreams& streams,
                         bool terminal, int report) {
  reset_signals();
  take_streams(streams, terminal);
  if (!enter_directory(request.directory)) fail(report, Step::directory);
  environ = variables.data();  // in which PATH is looked up
  ::execvp(arguments[0], arguments.data());
  fail(report, Step::program);
}

StartFailure describe(const Report& report, const CommandRequest& request) {
  if (report.error_number == 0) return {};
  return {report.error_number, report.step == Step::directory
                                   ? "cannot change to the directory " + request.directory
                                   : "cannot run " + request.arguments.front()};
}

}  // namespace

StartFailure start_process(const CommandRequest& request, const StandardStreams& streams,
                           bool terminal, pid_t& pid) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {errno, "cannot start a process"};
  std::vector<std::string> words = request.arguments;
  std::vector<std::string> settings = environment(request, terminal);
  std::vector<char*> arguments = pointers(words);
  std::vector<char*> variables = pointers(settings);
  pid = ::fork();
  if (pid == 0) become(arguments, variables, request, streams, terminal, ends[1]);
  const int error = errno;
  ::close(ends[1]);
  Report report{pid < 0 ? error : 0, Step::program};
  if (pid > 0 && ::read(ends[0], &report, sizeof report) == sizeof report) {
    ::waitpid(pid, nullptr, 0);
  }
  ::close(ends[0]);
  return describe(report, request);
}

}  // namespace pyro::guest
