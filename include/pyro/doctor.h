// Checks of a host: whether it can store environments and boot them (`pyro doctor`).
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

/// The result of one check.
enum class Health {
  ok,
  absent,   ///< Optional, and absent: some operations cost more.
  warning,  ///< Works, but less well or less safely.
  missing,  ///< Required, and missing.
};

/// "ok", "absent", "warning", "missing".
[[nodiscard]] std::string_view to_string(Health health) noexcept;

/// One check and its result.
struct Finding {
  std::string name;  ///< The check: "kvm", "cache". Stable, for programs.
  Health health = Health::ok;
  std::string message;      ///< In one line.
  std::string remedy = {};  ///< Advice for the user, or empty.
};

struct DoctorOptions {
  MachineOptions machine;  ///< The machine to boot; `monitor` is checked.
  /// Also send a request to each registry of the catalog. Nothing else uses the network.
  bool check_registries = false;
  /// Limits the registries to that of this environment.
  std::optional<std::string> environment = {};
  std::stop_token stop = {};
  /// Receives a detail() for each request. Not owned; may be null.
  ProgressListener* progress = nullptr;
};

/// Checks the host and returns the findings. The cache's file system is tested in a temporary
/// directory, in the cache or in its nearest existing parent, which is removed again. A failed
/// check is a finding and throws nothing. Thread-safe.
/// @throws Error(interrupted) after a stop request.
[[nodiscard]] std::vector<Finding> examine_host(const EnvironmentStore& store,
                                                const DoctorOptions& options);

}  // namespace pyro
