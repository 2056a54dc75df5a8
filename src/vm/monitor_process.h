// How a monitor is started: with the descriptors it is given and nothing else, within limits, and
// ending with the thread that started it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "sandbox/policy.h"

namespace pyro {

struct MonitorLimits {
  std::uint64_t address_space = 0;  ///< In bytes.
  std::uint64_t largest_file = 0;   ///< That it may write, in bytes.
  std::uint64_t descriptors = 256;  ///< Or what this process may have, if that is less.
};

struct MonitorStart {
  std::filesystem::path program = {};
  std::vector<std::string> arguments = {};  ///< Without the program's name.
  /// `descriptors[i]` is open as kFirstMonitorDescriptor + i; -1 is passed over.
  std::vector<int> descriptors = {};
  int complaints = -1;  ///< Its standard output and error.
  MonitorLimits limits = {};
  bool network = false;              ///< Whether it may connect to others.
  std::vector<PathRule> files = {};  ///< Descriptors that it opens anew, by /proc/self/fd.
};

inline constexpr int kFirstMonitorDescriptor = 3;

/// What errors call it.
inline constexpr char kMonitorSubject[] = "the machine monitor";

/// What a monitor may do: a guest may have taken it over. It reads its program, libraries and
/// firmware and what describes the host, opens /dev/kvm and `start.files`, and connects to others
/// only with a network. Nothing else is read, and no other file written, made, removed or changed.
[[nodiscard]] Policy monitor_policy(const MonitorStart& start);

/// Under that policy, and in a session of its own, so that no terminal sends it signals.
[[nodiscard]] ProcessStart monitor_start(const MonitorStart& start);

/// What a monitor takes beside its guest's memory, in bytes: the translator's buffer, libraries,
/// stacks.
inline constexpr std::uint64_t kMonitorOverhead = std::uint64_t{4} << 30;

struct MonitorAnswer {
  std::optional<ProcessEnd> end = {};  ///< Nothing: it had to be killed.
  std::string first_line = {};         ///< Of what it said.
};

/// Runs one that is soon done. It may write no file.
[[nodiscard]] MonitorAnswer ask_monitor(const std::filesystem::path& program,
                                        std::vector<std::string> arguments,
                                        std::vector<int> descriptors,
                                        std::chrono::milliseconds patience);

}  // namespace pyro
