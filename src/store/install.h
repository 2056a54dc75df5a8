// Installing an environment out of something else than what the catalog says.
#pragma once

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "source/layout_source.h"

namespace pyro {

/// EnvironmentStore::ensure_installed() with `image` as the source, whatever the entry's own
/// source and the runtime bundle are. Its pin counts.
InstalledEnvironment install_from_layout(const StoreOptions& options,
                                         const Environment& environment, const LayoutImage& image,
                                         const PullOptions& pull);

}  // namespace pyro
