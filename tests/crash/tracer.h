// Runs a command and records every change that it makes to the file system.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "crash/system_call.h"
#include "support/process.h"

namespace pyro::testing {

/// The decision about a process that is stopped before a call or after it.
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
  /// In the order of their beginning: changes below the folder, and writes to standard output.
  std::vector<SystemCall> calls = {};
  /// The name that standard output has in `calls`.
  std::filesystem::path output = {};
};

/// Runs `command`, all its threads and children, with what they change below `folder` recorded.
/// `on_call` is asked about the changes below `folder`, one at a time, in a thread of its own.
/// @throws std::runtime_error
Trace trace(const Command& command, const std::filesystem::path& folder,
            const OnCall& on_call = {});

/// A command that was ended at one of its changes.
struct Crash {
  bool ended = false;     ///< Otherwise it has fewer changes.
  bool reported = false;  ///< It had written to standard output.
  int calls = 0;          ///< Changes begun.
  std::string at = {};    ///< The change.
};

/// Runs `command` up to its n-th change below `folder`, counted from 1, or to its end, which has to
/// be a success.
Crash crash_at(const Command& command, const std::filesystem::path& folder, int n, Moment moment);

/// The reason why no process can be traced here; nothing if tracing works.
std::optional<std::string> why_no_tracing();

}  // namespace pyro::testing
