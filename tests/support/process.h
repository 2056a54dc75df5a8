// Runs a program to its end for a test, with a time limit.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyro::testing {

using Milliseconds = std::chrono::milliseconds;

/// What takes longer hangs. It ends a test that is broken, and no test leans on it: how long a step
/// takes is up to the host.
#ifdef PYRO_SANITIZED
inline constexpr Milliseconds kHang{1'200'000};  // as 16 GiB of zeros are unpacked slowly
#else
inline constexpr Milliseconds kHang{240'000};
#endif

struct Command {
  std::vector<std::string> argv;  ///< The program is looked up in PATH.
  /// On top of the environment of the test: a value sets, std::nullopt unsets.
  std::map<std::string, std::optional<std::string>> env = {};
  bool clean_env = false;          ///< Start from an empty environment instead.
  std::filesystem::path cwd = {};  ///< Empty: that of the test.
  std::string stdin_text = {};     ///< Then end of file. BackgroundProcess: /dev/null instead.
  Milliseconds timeout = kHang;    ///< Then the whole process group is killed.
};

struct ProcessResult {
  int exit_code = -1;  ///< -1 when a signal ended it.
  int signal = 0;
  bool timed_out = false;
  std::string out = {};  ///< Standard output.
  std::string err = {};  ///< Standard error.
  /// The peak of its largest process, from the kernel. run() measures the command alone; for a
  /// BackgroundProcess the memory of the test process at the start is a lower bound.
  long max_rss_kib = 0;
  /// In user and kernel mode, with all that it waited for: what a bound in seconds is about, as it
  /// does not depend on what else the host does.
  std::chrono::duration<double> processor_time{};
};

/// Runs a command to its end. Throws std::runtime_error when it cannot be started.
ProcessResult run(const Command& command);

/// run(), and std::runtime_error with both outputs unless it exits with 0.
ProcessResult run_checked(const Command& command);

/// Where `name` stands in PATH.
std::optional<std::filesystem::path> find_program(const std::string& name);

/// Waits for the state that a test needs; false when it never came.
bool eventually(const std::function<bool()>& condition, Milliseconds timeout = kHang);

}  // namespace pyro::testing
