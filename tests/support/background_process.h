// A program that runs beside a test and ends with it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "support/process.h"

namespace pyro::testing {

/// A program that runs beside the test, in a process group of its own, until this object goes.
/// It is killed by the kernel when the thread that started it ends.
class BackgroundProcess {
 public:
  /// Standard output and error go to `output_file`, or to two files when `error_file` is given.
  BackgroundProcess(const Command& command, std::filesystem::path output_file,
                    std::filesystem::path error_file = {});
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;
  ~BackgroundProcess();

  pid_t pid() const { return pid_; }
  bool running();
  void send_signal(int signal);

  /// Waits for `condition`; throws std::runtime_error with the output so far when the process ends
  /// or `timeout` passes before.
  void wait_until(std::string_view what, const std::function<bool()>& condition,
                  Milliseconds timeout = kHang);

  /// Waits for its end; kills it when `timeout` passes before.
  ProcessResult wait(Milliseconds timeout = kHang);

  /// SIGTERM, after `grace` SIGKILL, to the whole group.
  ProcessResult terminate(Milliseconds grace = Milliseconds(3'000));

  /// What it has written so far to the output file.
  std::string output() const;

 private:
  bool reap(Milliseconds timeout);
  ProcessResult result(bool timed_out) const;

  std::filesystem::path output_file_;
  std::filesystem::path error_file_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  ProcessResult result_;
};

}  // namespace pyro::testing
