// One command: started, fed, listened to, and reported.
#pragma once

#include <string>
#include <vector>

#include "guest/channel.h"

namespace pyro::guest {

class WaitingProcess;

/// What the host has said of a command so far.
struct CommandRequest {
  std::vector<std::string> arguments;
  std::vector<std::string> variables;
  std::string directory;
};

/// Runs it to its end in the process that waits for one, or says why it cannot be run. Whatever it
/// left running is ended with it.
void run_command(Channel& channel, WaitingProcess& process, const CommandRequest& request,
                 const RunPayload& run);

}  // namespace pyro::guest
