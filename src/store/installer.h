// Installs one environment: into the cache, from whichever source it has.
#pragma once

#include <optional>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "pyro/progress.h"
#include "source/layout_source.h"
#include "source/unpacked_archive.h"

namespace pyro {

/// Into files below the cache's staging directory.
[[nodiscard]] Unpacking unpacking_in(const StoreOptions& options, ProgressListener& progress,
                                     const std::stop_token& stop);

/// EnvironmentStore::ensure_installed(), and with `image` the same from there, whatever the entry's
/// own source and the runtime bundle are: its pin counts.
InstalledEnvironment install(const StoreOptions& options, const Environment& environment,
                             const PullOptions& pull,
                             std::optional<LayoutImage> image = std::nullopt);

}  // namespace pyro
