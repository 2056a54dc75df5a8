// The cache as a budget: what is in it, what that takes, and taking one environment out of it.
// EnvironmentStore::prune() takes out many.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"

namespace pyro {

/// An install directory. All sizes are disk space: holes take none, and of an install out of a
/// runtime bundle, which is made of links, the links alone count.
struct InstallUsage {
  std::string directory;  ///< Its name: "debian_12-1.0.0".
  /// From its install record; nothing where there is no readable one: the next prune removes it.
  std::optional<std::string> name = {};
  std::optional<std::string> version = {};
  std::uint64_t disk_bytes = 0;  ///< The artifacts, nearly all of it.
  /// The saved states of its machines; of several versions the first has them.
  std::uint64_t prepared_bytes = 0;
  /// When it was installed or last booted, to the second.
  std::optional<std::chrono::system_clock::time_point> last_used = {};
};

struct CacheUsage {
  std::vector<InstallUsage> installs;  ///< Sorted by directory.
  std::uint64_t partial_bytes = 0;     ///< What interrupted pulls keep for the next try.
  std::uint64_t staging_bytes = 0;     ///< What is being made just now, or was left by a crash.
  std::uint64_t other_bytes = 0;       ///< Locks, folders, and what is nobody's.
  std::uint64_t total_bytes = 0;       ///< The sum of all.
};

/// Looks at everything in the cache; what cannot be read counts nothing.
/// @throws Error(filesystem)
[[nodiscard]] CacheUsage cache_usage(const EnvironmentStore& store);

struct RemovalReport {
  /// Names in the cache: "debian_12-1.0.0", "prepared/debian_12".
  std::vector<std::string> removed;
  std::uint64_t bytes_reclaimed = 0;  ///< Disk space.
};

/// Removes every install of `name`, of other versions too, and the saved states of its machines.
/// Nothing to remove is no failure, unless it is in a store: stores are only read.
/// @throws Error(not_found) when the catalog does not have it; (busy) while somebody uses or pulls
/// any of them, and all stay then; (failed) when only a store has it; (filesystem).
RemovalReport remove_environment(EnvironmentStore& store, std::string_view name);

}  // namespace pyro
