// The state of an environment in one word.
#pragma once

#include "cli/table.h"
#include "pyro/environment_store.h"

namespace pyro::cli {

/// "available", "installed", "outdated" or "incompatible".
[[nodiscard]] Cell status_cell(const EnvironmentStatus& status);

}  // namespace pyro::cli
