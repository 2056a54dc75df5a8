// A child process, by a descriptor that never comes to mean another one (pidfd, Linux 5.4).
#pragma once

#include <sys/types.h>

#include "base/files.h"

namespace pyro {

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;
  int signal = 0;  ///< That killed it; then there is no exit code.
};

class ProcessHandle {
 public:
  /// Of a child that nobody has waited for. Kills it where it cannot be watched.
  /// @throws Error(filesystem) naming `what` it is
  ProcessHandle(pid_t child, const std::string& what);
  /// Kills it, and waits for its end.
  ~ProcessHandle();
  ProcessHandle(const ProcessHandle&) = delete;
  ProcessHandle& operator=(const ProcessHandle&) = delete;

  /// From any thread, as often as you like.
  void kill() noexcept;

  /// Waits for its end. Nothing else in this process is waited for.
  ProcessEnd wait() noexcept;

  /// Becomes readable with its end.
  [[nodiscard]] int descriptor() const noexcept { return handle_.get(); }

 private:
  Fd handle_;
  bool ended_ = false;
  ProcessEnd end_;
};

}  // namespace pyro
