// A process, from its words and streams.
#pragma once

#include <sys/types.h>

#include <string>

#include "guest/command.h"

namespace pyro::guest {

struct StandardStreams {
  int in = -1;
  int out = -1;
  int error = -1;
};

struct StartFailure {
  int error_number = 0;  ///< 0: it runs.
  std::string what;
};

/// In a session of its own; with a terminal, that is the session's.
StartFailure start_process(const CommandRequest& request, const StandardStreams& streams,
                           bool terminal, pid_t& pid);

}  // namespace pyro::guest
