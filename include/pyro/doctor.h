// Checks of a host: whether it can keep environments and boot them.
//
// Source: spec section 9, `pyro doctor`.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"
#include "pyro/machine.h"
#include "pyro/progress.h"

namespace pyro {

enum class Health {
  ok,
  warning,  ///< Works, but less well or less safely.
  missing,  ///< Required, and missing.
};

/// "ok", "warning", "missing".
[[nodiscard]] std::string_view to_string(Health health) noexcept;

struct Finding {
  std::string name;  ///< "kvm", "cache": stable, for programs.
  Health health = Health::ok;
  std::string message;
  std::string remedy = {};  ///< Advice for the user, or empty.
};

struct DoctorOptions {
  MachineOptions machine;
  /// Also send a request to each registry of the catalog. Nothing else uses the network.
  bool check_registries = false;
  /// Limits the registries to that of this environment.
  std::optional<std::string> environment = {};
  std::stop_token stop = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null. Told of each request.
};

/// Checks the host and returns the findings. The cache's file system is tested in a temporary
/// directory, in the cache or in its nearest existing parent.
/// @throws Error(interrupted)
[[nodiscard]] std::vector<Finding> examine_host(const EnvironmentStore& store,
                                                const DoctorOptions& options);

}  // namespace pyro
