// The single examinations. Each tells what it found, and throws only when it is interrupted.
#pragma once

#include <vector>

#include "pyro/doctor.h"

namespace pyro {

using Findings = std::vector<Finding>;

/// Owner, rights and space of the cache, and what its file system can do; false when it must not be
/// used, or cannot.
[[nodiscard]] bool check_cache(const StoreOptions& options, Findings& findings);

/// Of a file system of that type (statfs(2)), where it is one that other hosts share: whether files
/// can be locked there.
void check_sharing(long type, bool has_locks, Findings& findings);

/// The monitor, and what it runs guests with. What the cache says of KVM is believed only if the
/// cache is fit to be used.
void check_machines(const StoreOptions& options, const MachineOptions& machine, bool cache_is_fit,
                    Findings& findings);

/// What is said of KVM when that was found out with the cache at `cache_dir`; where it is required,
/// no machine runs without it.
[[nodiscard]] Finding kvm_finding(const KvmReport& report, const std::filesystem::path& cache_dir,
                                  bool required);

void check_registries(const StoreOptions& options, const DoctorOptions& wanted, Findings& findings);

}  // namespace pyro
