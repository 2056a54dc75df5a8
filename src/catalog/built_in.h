// The environments that every pyro knows.
#pragma once

#include <vector>

#include "pyro/catalog.h"

namespace pyro {

/// Those of catalog version 4.5.0 (spec section 3), as the reference ships them.
[[nodiscard]] std::vector<Environment> built_in_environments();

}  // namespace pyro
