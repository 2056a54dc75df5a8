// One entry of a catalog file, from an Environment to JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "pyro/catalog.h"

namespace pyro {

/// What read_entry() reads as `environment`, but for the file that it came from. What has no value
/// is left out.
[[nodiscard]] nlohmann::ordered_json write_entry(const Environment& environment);

}  // namespace pyro
