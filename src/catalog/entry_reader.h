// One entry of a catalog file, from JSON to an Environment that cannot be wrong.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "pyro/catalog.h"

namespace pyro {

/// Checks `entry`, number `index` of `file`, field by field.
/// @throws Error(failed) "environment 'debian:12': field 'oci_registry': ..." when the name is
/// good, "environments[0]: field 'name': ..." before that.
[[nodiscard]] Environment read_entry(const nlohmann::json& entry, std::size_t index,
                                     const std::filesystem::path& file);

}  // namespace pyro
