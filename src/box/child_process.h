// A program that this process started, and that ends with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"

namespace pyro {

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;
  int signal = 0;  ///< That killed it; then there is no exit code.
};

/// What the child has open in place of the caller's descriptors: nothing but this, and /dev/null as
/// standard input, output and error.
inline constexpr int kSocketOfChild = 3;

class ChildProcess {
 public:
  /// By exec, so that it has nothing of the caller's memory, and with next to no environment. All
  /// signals are blocked in it but those that tell of a crash.
  /// @throws Error(filesystem) when it cannot be started
  ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments,
               int socket);
  /// Kills it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// From any thread, as often as you like.
  void kill() noexcept;

  /// Waits for its end. Nothing else in this process is waited for.
  ProcessEnd wait() noexcept;

  /// Becomes readable with its end.
  [[nodiscard]] int handle() const noexcept { return handle_.get(); }

 private:
  Fd handle_;
  bool ended_ = false;
  ProcessEnd end_;
};

}  // namespace pyro
