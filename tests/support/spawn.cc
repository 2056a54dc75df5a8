// Starts one program with given descriptors: what process.h is built upon.
#include "support/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include "support/file_descriptor.h"

namespace pyro::testing {
namespace {

std::map<std::string, std::string> environment_of(const Command& command) {
  std::map<std::string, std::string> result;
  for (char** entry = environ; !command.clean_env && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      result[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : command.env) {
    if (value) {
      result[name] = *value;
    } else {
      result.erase(name);
    }
  }
  return result;
}

// An array as execve wants it, with the strings it points to.
class StringArray {
 public:
  explicit StringArray(std::vector<std::string> strings) : strings_(std::move(strings)) {
    for (std::string& text : strings_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
  }
  char** get() { return pointers_.data(); }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

StringArray environment_array(const Command& command) {
  std::vector<std::string> strings;
  for (const auto& [name, value] : environment_of(command)) {
    strings.push_back(fmt::format("{}={}", name, value));
  }
  return StringArray(std::move(strings));
}

// All that the child does between vfork and exec, in the memory of the test, which may have any
// number of threads: only async-signal-safe calls are allowed here.
struct ChildPlan {
  const char* program;
  char** argv;
  char** env;
  const char* cwd;
  std::array<int, 4> descriptors;
  int failure_pipe;
  pid_t parent;

  [[noreturn]] void fail() const {
    const int error = errno;
    [[maybe_unused]] const ssize_t ignored = ::write(failure_pipe, &error, sizeof error);
    ::_exit(127);
  }

  void reset_signals() const {
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
  }

  // Sources can be any numbers, also among the targets: first they all move out of the way.
  void place_descriptors() const {
    std::array<int, 4> high{-1, -1, -1, -1};
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      if (descriptors[i] < 0) continue;
      high[i] = ::fcntl(descriptors[i], F_DUPFD_CLOEXEC, 100);
      if (high[i] < 0) fail();
    }
    for (std::size_t i = 0; i < high.size(); ++i) {
      if (high[i] >= 0 && ::dup2(high[i], static_cast<int>(i)) < 0) fail();
    }
  }

  [[noreturn]] void execute() const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // the parent died before the line above
    ::setpgid(0, 0);
    reset_signals();
    place_descriptors();
    if (*cwd != '\0' && ::chdir(cwd) != 0) fail();
    ::execve(program, argv, env);
    fail();
  }
};

void check_started(pid_t pid, int failure_pipe, const std::string& program) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure_pipe, &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return;  // closed by the exec
  ::waitpid(pid, nullptr, 0);
  throw std::runtime_error(fmt::format("cannot start {}: {}", program, std::strerror(error)));
}

}  // namespace

pid_t spawn(const std::vector<std::string>& argv, const Command& command,
            const SpawnDescriptors& descriptors) {
  const auto program = find_program(argv.at(0));
  if (!program) throw std::runtime_error("no such program: " + argv.at(0));
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  FileDescriptor failure_read(pipe_ends[0]);
  FileDescriptor failure_write(pipe_ends[1]);
  StringArray arguments(argv);
  StringArray environment = environment_array(command);
  const ChildPlan plan{program->c_str(),
                       arguments.get(),
                       environment.get(),
                       command.cwd.c_str(),
                       {descriptors.in, descriptors.out, descriptors.err, descriptors.extra},
                       failure_write.get(),
                       ::getpid()};
  // A copy of the page tables of a test takes longer than many a test.
  const pid_t pid = ::vfork();
  if (pid < 0) throw std::runtime_error("vfork failed");
  if (pid == 0) plan.execute();
  ::setpgid(pid, pid);  // here, too, so that the group exists when this returns
  failure_write.reset();
  check_started(pid, failure_read.get(), argv[0]);
  return pid;
}

}  // namespace pyro::testing
