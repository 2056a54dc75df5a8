// Installs one environment: into the cache, from whichever source it has.
#pragma once

#include <optional>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "source/layout_source.h"

namespace pyro {

/// EnvironmentStore::ensure_installed(), and with `image` the same from there, whatever the entry's
/// own source and the runtime bundle are: its pin counts.
InstalledEnvironment install(const StoreOptions& options, const Environment& environment,
                             const PullOptions& pull,
                             std::optional<LayoutImage> image = std::nullopt);

}  // namespace pyro
