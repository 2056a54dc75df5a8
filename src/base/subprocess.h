// A child process: the one way in which pyro starts a program, and a handle that never comes to
// mean another process (pidfd, Linux 5.4).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"

namespace pyro {

/// A program, and the state that it finds. It ends with the thread that started it.
struct ProcessStart {
  std::filesystem::path program = {};
  std::vector<std::string> arguments = {};  ///< The name that it is called by is the first.
  std::vector<std::string> variables = {};  ///< "NAME=value"; it has no others.

  /// `descriptors[i]` is open as `i`, and nothing else is. -1 stands for /dev/null up to standard
  /// error, and for nothing after that.
  std::vector<int> descriptors = {};

  enum class Group {
    of_its_own,      ///< With what it starts in turn, for kill_group(). It keeps the terminal.
    in_new_session,  ///< ... and no terminal can send it signals.
  };
  Group group = Group::of_its_own;

  /// All have their default actions.
  enum class Signals {
    accepted,
    blocked,  ///< All but those that tell of a crash.
  };
  Signals signals = Signals::accepted;

  /// Called in the child before it executes the program. It may make system calls and must not
  /// allocate, lock or throw: the child runs in the memory of this process. False, with errno set:
  /// the program is not started.
  std::function<bool()> confine = [] { return true; };
};

/// This process's variables.
[[nodiscard]] std::vector<std::string> own_variables();

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;
  int signal = 0;  ///< That killed it; then there is no exit code.

  /// Whether it died of a fault of its own.
  [[nodiscard]] bool is_crash() const noexcept;
};

class Subprocess {
 public:
  /// @throws Error(filesystem) "cannot start WHAT: ..."
  Subprocess(const ProcessStart& start, const std::string& what);
  /// Kills it, and waits for its end.
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  /// From any thread, as often as you like.
  void kill() noexcept;
  /// Kills what it started, too. Only before wait().
  void kill_group() noexcept;

  /// Waits for its end. Nothing else in this process is waited for.
  ProcessEnd wait() noexcept;

  /// Where the descriptor cannot be used. After wait() the number may be another process's, so no
  /// signal is ever sent to it.
  [[nodiscard]] pid_t number() const noexcept { return pid_; }

  /// Becomes readable with its end.
  [[nodiscard]] int descriptor() const noexcept { return handle_.get(); }

 private:
  pid_t pid_;
  Fd handle_;
  bool ended_ = false;
  ProcessEnd end_;
};

}  // namespace pyro
