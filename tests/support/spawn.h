// Forks and executes one program with given descriptors: what process.h is built upon.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/process.h"

namespace pyro::testing {

struct SpawnDescriptors {
  int in = -1;
  int out = -1;
  int err = -1;
  int extra = -1;  ///< Becomes descriptor 3 of the child; -1: none.
};

/// Starts `argv` with the environment and directory of `command`, in a process group of its own.
/// Throws std::runtime_error when the program cannot be executed.
pid_t spawn(const std::vector<std::string>& argv, const Command& command,
            const SpawnDescriptors& descriptors);

}  // namespace pyro::testing
