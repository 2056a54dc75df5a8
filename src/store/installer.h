// Installs an environment into the cache.
#pragma once

#include <filesystem>
#include <optional>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "pyro/progress.h"
#include "source/archive_source.h"
#include "source/environment_source.h"

namespace pyro {

/// The pyro executable: that of the options, or the one that was installed with this library.
[[nodiscard]] std::filesystem::path executable_of(const StoreOptions& options);

/// How to unpack a compressed archive: into a nameless file in the staging directory of the cache.
[[nodiscard]] Unpacking unpacking_in(const StoreOptions& options, ProgressListener& progress,
                                     const std::stop_token& stop);

/// `options` with `entry` in the catalog.
/// @throws Error(failed) when another environment has its install directory
[[nodiscard]] StoreOptions with_entry(const StoreOptions& options, const Environment& entry);

/// Implements EnvironmentStore::ensure_installed(). `source` replaces the source of the entry and
/// the runtime bundle; the pins of the entry still apply.
InstalledEnvironment install(const StoreOptions& options, const Environment& environment,
                             const PullOptions& pull,
                             std::optional<ChosenSource> source = std::nullopt);

}  // namespace pyro
