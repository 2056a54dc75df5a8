// The single checks. Each adds findings, and throws only Error(interrupted).
#pragma once

#include <vector>

#include "pyro/doctor.h"

namespace pyro {

using Findings = std::vector<Finding>;

/// Checks owner, permissions and space of the cache and the abilities of its file system; returns
/// false for an unusable cache.
[[nodiscard]] bool check_cache(const StoreOptions& options, Findings& findings);

/// Reports whether files can be locked on a network file system; `type` is that of statfs(2).
void check_sharing(long type, bool has_locks, Findings& findings);

/// Checks the monitor and KVM. The result of an earlier KVM probe is read from the cache only if
/// the cache is usable.
void check_machines(const StoreOptions& options, const MachineOptions& machine, bool cache_is_fit,
                    Findings& findings);

/// The finding for a KVM probe with the cache at `cache_dir`; with `required` a failure is an
/// error.
[[nodiscard]] Finding kvm_finding(const KvmReport& report, const std::filesystem::path& cache_dir,
                                  bool required);

void check_registries(const StoreOptions& options, const DoctorOptions& wanted, Findings& findings);

}  // namespace pyro
