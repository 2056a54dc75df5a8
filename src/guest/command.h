// Commands: a process is made ahead of time, becomes the command, and its end is reported.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "guest/channel.h"
#include "guest/descriptor.h"
#include "guest/session.h"

namespace pyro::guest {

/// Unless a command's variables have another.
inline constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command as the host describes it.
struct CommandRequest {
  std::vector<std::string> arguments;
  std::vector<std::string> variables;
  std::string directory;
  std::string user;  ///< "NAME[:GROUP]"; empty for root.
  bool makes_directory = false;
};

struct StartFailure {
  int error_number = 0;  ///< 0: it runs.
  std::string what;
};

/// The standard streams of a command.
struct StreamChoice {
  std::string terminal;    ///< The path of the terminal for all streams; empty for pipes.
  bool has_input = false;  ///< Without a terminal: whether standard input is a pipe or /dev/null.
};

/// A process that waits to become a command, in a session of its own and in its home directory.
///
/// Under emulation, making a process takes as long as everything else that a short command does. So
/// it is made ahead of the command, and saved with the machine.
class WaitingProcess {
 public:
  /// Our ends of the pipes for its standard streams, used without a terminal. Non-blocking.
  struct Pipes {
    Descriptor input;
    Descriptor output;
    Descriptor error_output;
  };

  /// Makes the process unless there is one. False, with errno, on failure.
  bool make();

  /// Turns it into the command, which then has the process `pid` and `pipes`.
  StartFailure become(const CommandRequest& request, const StreamChoice& streams);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Whether there is one.
  [[nodiscard]] bool waits() const { return waits_; }
  /// It was killed.
  void forget() { waits_ = false; }
  Pipes pipes;

 private:
  pid_t pid_ = -1;
  bool waits_ = false;
  Descriptor request_;
  Descriptor report_;
};

/// Reads the files that each of the arguments needs to run, a program on its own, into the page
/// cache, and those that the user is looked up in.
void read_programs(const CommandRequest& request);

/// Starts a command, or reports why it cannot start. What it leaves of its processes goes on,
/// unless `run` says otherwise.
[[nodiscard]] std::unique_ptr<Task> start_command(Channel& channel, std::uint16_t session,
                                                  WaitingProcess& process,
                                                  const CommandRequest& request,
                                                  const RunPayload& run);

}  // namespace pyro::guest
