// The documents of the C API that are none of the executable's.
//
// Source: pyro/pyro.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cli/json_output.h"
#include "pyro/environment_store.h"

namespace pyro::capi {

using cli::Json;

/// What pyro_store_describe() returns.
[[nodiscard]] Json store_payload(const StoreOptions& options);

/// What pyro_store_ensure_installed() returns.
[[nodiscard]] Json installed_payload(const InstalledEnvironment& installed);

}  // namespace pyro::capi
