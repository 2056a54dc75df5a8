// The single examinations. Each tells what it found, and throws only when it is interrupted.
#pragma once

#include <vector>

#include "pyro/doctor.h"

namespace pyro {

using Findings = std::vector<Finding>;

/// Owner, rights and space of the cache, and what its file system can do.
void check_cache(const StoreOptions& options, Findings& findings);

/// The monitor, and what it runs guests with.
void check_machines(const StoreOptions& options, const MachineOptions& machine, Findings& findings);

void check_registries(const StoreOptions& options, const std::stop_token& stop, Findings& findings);

}  // namespace pyro
