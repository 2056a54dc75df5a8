// Which machines are tried, one after the other.
#pragma once

#include <vector>

#include "vm/monitor.h"

namespace pyro {

/// From the one that is asked for to what boots wherever anything does with its accelerator: a
/// guest must not get itself into software, which is no boundary, by ending under KVM.
[[nodiscard]] std::vector<MachineShape> ladder_from(const MachineShape& asked);

}  // namespace pyro
