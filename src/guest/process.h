// A process that waits to become a command.
//
// Where machines are emulated, making a process takes as long as all that a short command does by
// itself. So one is made ahead of the command, and a saved machine has it.
#pragma once

#include <sys/types.h>

#include <string>

#include "guest/command.h"
#include "guest/descriptor.h"

namespace pyro::guest {

struct StartFailure {
  int error_number = 0;  ///< 0: it runs.
  std::string what;
};

/// What its standard streams are.
struct StreamChoice {
  std::string terminal;    ///< The path of the terminal that all of them are; empty: pipes.
  bool has_input = false;  ///< Otherwise standard input is /dev/null. Of no matter to a terminal.
};

/// In a session of its own, in its home directory.
class WaitingProcess {
 public:
  /// This end of the pipes that its standard streams are if it gets no terminal. Not blocking.
  struct Pipes {
    Descriptor input;
    Descriptor output;
    Descriptor error_output;
  };

  /// False, with errno, when there is none.
  bool make();

  /// Turns it into a command; on success it is `pid`, and `pipes` belong to the command.
  StartFailure become(const CommandRequest& request, const StreamChoice& streams);

  [[nodiscard]] pid_t pid() const { return pid_; }
  Pipes pipes;

 private:
  pid_t pid_ = -1;
  bool waits_ = false;
  Descriptor request_;
  Descriptor report_;
};

}  // namespace pyro::guest
