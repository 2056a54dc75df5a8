// Whether a host can do the job: keep environments, and boot them.
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
  warning,  ///< Things work, but less well or less safely.
  missing,  ///< Needed, and not there.
};

/// "ok", "warning", "missing".
[[nodiscard]] std::string_view to_string(Health health) noexcept;

struct Finding {
  std::string name;  ///< "kvm", "cache": stable, for programs.
  Health health = Health::ok;
  std::string message;
  std::string remedy = {};  ///< What to do about it; empty when there is nothing to do.
};

struct DoctorOptions {
  MachineOptions machine;
  /// Also ask each registry of the catalog whether it is there. Nothing else uses the network.
  bool check_registries = false;
  /// Then only that of this environment.
  std::optional<std::string> environment = {};
  std::stop_token stop = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null. Hears of each request.
};

/// Looks at the host, and tries what can be tried: in a directory of its own, which is removed
/// again, in the cache or where that would be made.
/// @throws Error(interrupted)
[[nodiscard]] std::vector<Finding> examine_host(const EnvironmentStore& store,
                                                const DoctorOptions& options);

}  // namespace pyro
