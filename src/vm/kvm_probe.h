// Whether /dev/kvm runs guests. It may open, answer and make a machine, and still never run one:
// only a guest that did something counts.
#pragma once

#include "pyro/machine.h"

namespace pyro {

/// Runs a guest of two instructions in a child process, under a deadline.
[[nodiscard]] KvmReport run_kvm_guest();

}  // namespace pyro
