// Runs a command and looks at every change that it makes to the file system.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "crash/system_call.h"
#include "support/process.h"

namespace pyro::testing {

/// What is to become of a process that stands before a call, or after it.
enum class Verdict {
  go_on,
  skip,     ///< Only before: the call does nothing, and says that it succeeded.
  shorten,  ///< Only before a write or pwrite64: it takes half of its bytes.
  end,      ///< Every process of the command is killed where it stands.
};

enum class Moment { before, after };

using OnCall = std::function<Verdict(const SystemCall& call, Moment moment)>;

struct Trace {
  int exit_code = -1;  ///< -1 when a signal ended it.
  bool ended = false;  ///< As the verdict was.
  std::string out = {};
  std::string err = {};
  /// In the order in which they began: what is below the folder, and writes to standard output.
  std::vector<SystemCall> calls = {};
  /// The name that standard output has in `calls`.
  std::filesystem::path output = {};
};

/// Runs `command`, all its threads and children, with what they change below `folder` recorded.
/// `on_call` is asked about the changes below `folder`, one at a time, in a thread of its own.
/// @throws std::runtime_error
Trace trace(const Command& command, const std::filesystem::path& folder,
            const OnCall& on_call = {});

/// Why no process can be traced here; nothing when they can.
std::optional<std::string> why_no_tracing();

}  // namespace pyro::testing
