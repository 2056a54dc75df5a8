// A child process: all programs that pyro starts, started and held by a pidfd (Linux 5.4).
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace pyro {

/// A pipe that a child writes into. Both ends are closed on exec.
struct Pipe {
  /// @throws Error(filesystem)
  Pipe();
  Fd read;
  Fd write;
};

/// A program and its initial state. The process ends with the thread that started it.
struct ProcessStart {
  std::filesystem::path program = {};
  std::vector<std::string> arguments = {};  ///< Including argv[0].
  std::vector<std::string> variables = {};  ///< "NAME=value"; all of its environment.

  /// `descriptors[i]` is open as `i`, and no others are. -1 means /dev/null up to standard error,
  /// and closed after that.
  std::vector<int> descriptors = {};

  enum class Group {
    of_its_own,      ///< A process group for kill_group(), with the terminal of this process.
    in_new_session,  ///< A group without a terminal, which could send it signals.
  };
  Group group = Group::of_its_own;

  /// All signals have their default actions.
  enum class Signals {
    accepted,
    blocked,  ///< All but those of a crash.
  };
  Signals signals = Signals::accepted;

  /// Called in the child before exec. It may make system calls but must not allocate, lock or
  /// throw: the child runs in the memory of this process. False with errno set: the program is not
  /// started.
  std::function<bool()> confine = [] { return true; };
};

/// The environment of this process.
[[nodiscard]] std::vector<std::string> own_variables();

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;
  int signal = 0;  ///< The signal that killed it; then there is no exit code.

  /// Whether the signal is that of a crash.
  [[nodiscard]] bool is_crash() const noexcept;
};

/// The program `name` in the first directory of `path`, as in $PATH, that has it; empty for none.
/// Relative directories are left out: they would run programs from the current directory.
[[nodiscard]] std::filesystem::path find_program(const std::string& path, const std::string& name);

/// The signal called "SIGQUIT", "QUIT" or "3"; 0 for anything else.
[[nodiscard]] int signal_number(std::string_view name);

class Subprocess {
 public:
  /// @throws Error(filesystem) "cannot start WHAT: ..."
  Subprocess(const ProcessStart& start, const std::string& what);
  /// Kills the process and waits for its end.
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  /// From any thread, any number of times.
  void kill() noexcept;
  /// Sends a signal to its process group. Only before wait().
  void kill_group(int signal = SIGKILL) noexcept;

  /// Waits for its end. Does not reap other children.
  ProcessEnd wait() noexcept;

  /// For calls that take no pidfd. After wait() it may be another process's number, so never send a
  /// signal to it.
  [[nodiscard]] pid_t number() const noexcept { return pid_; }

  /// The pidfd: readable when the process has ended.
  [[nodiscard]] int descriptor() const noexcept { return handle_.get(); }

 private:
  pid_t pid_;
  Fd handle_;
  bool ended_ = false;
  ProcessEnd end_;
};

}  // namespace pyro
