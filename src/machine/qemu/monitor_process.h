// The monitor process: started in a sandbox with the descriptors it is given, and its output kept.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "sandbox/policy.h"

namespace pyro {

/// Reads the output of a process without blocking, and keeps its last 4 KiB.
class OutputTail {
 public:
  OutputTail() = default;
  explicit OutputTail(Fd source) : source_(std::move(source)) {}

  [[nodiscard]] int descriptor() const noexcept { return source_.get(); }

  /// Reads the pending bytes. The descriptor is -1 after the end.
  void drain();

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  Fd source_;
  std::string text_;
};

/// Two ends of a pipe or socket; ours is non-blocking.
struct SocketPair {
  Fd ours;
  Fd theirs;
};
[[nodiscard]] SocketPair make_pipe();

[[nodiscard]] std::string first_line(const std::string& text);

/// The line of console output that explains a failure: of a kernel panic or of init, else the last.
[[nodiscard]] std::string failure_line_in(const std::string& text);

struct MonitorLimits {
  std::uint64_t address_space = 0;                  ///< In bytes.
  std::uint64_t largest_file = 0;                   ///< In bytes.
  std::uint64_t descriptors = 256;                  ///< At most what this process may have.
  std::uint64_t processor_seconds = RLIM_INFINITY;  ///< SIGKILL ends it then.
};

struct MonitorStart {
  std::filesystem::path program = {};
  std::vector<std::string> arguments = {};  ///< Without the program's name.
  /// `descriptors[i]` becomes kFirstMonitorDescriptor + i; -1 is left out.
  std::vector<int> descriptors = {};
  int output = -1;  ///< Its standard output and error.
  MonitorLimits limits = {};
  bool network = false;              ///< Whether it may connect to other hosts.
  std::vector<PathRule> files = {};  ///< Descriptors that it reopens by /proc/self/fd.
};

inline constexpr int kFirstMonitorDescriptor = 3;

/// The name of a monitor in messages.
inline constexpr char kMonitorSubject[] = "the machine monitor";

/// The sandbox of a monitor, which a guest may have taken over. It may read its program, libraries,
/// firmware and descriptions of the host, and open /dev/kvm and `start.files`. It may connect to
/// other hosts only with a network, and can neither read nor change any other file.
[[nodiscard]] Policy monitor_policy(const MonitorStart& start);

/// How to start it: under that policy, in a session of its own, so that no terminal sends it
/// signals.
[[nodiscard]] ProcessStart monitor_start(const MonitorStart& start);

/// Address space of a monitor beside the memory of the guest, in bytes: translation buffer,
/// libraries, stacks.
inline constexpr std::uint64_t kMonitorOverhead = std::uint64_t{4} << 30;

struct MonitorAnswer {
  std::optional<ProcessEnd> end = {};  ///< Nothing when it had to be killed.
  std::string first_line = {};         ///< Of its output.
};

/// Runs a monitor that exits by itself, for its output. It may write no file.
[[nodiscard]] MonitorAnswer ask_monitor(const std::filesystem::path& program,
                                        std::vector<std::string> arguments,
                                        std::vector<int> descriptors,
                                        std::chrono::milliseconds timeout);

}  // namespace pyro
