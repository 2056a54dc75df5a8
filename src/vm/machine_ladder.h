// Which machines are tried, one after the other.
#pragma once

#include <vector>

#include "vm/monitor.h"

namespace pyro {

/// From the one that is asked for to what boots wherever anything does. The last two are the same
/// where nothing is safer: a guest that was only slow gets another chance.
[[nodiscard]] std::vector<MachineShape> ladder_from(const MachineShape& asked);

}  // namespace pyro
