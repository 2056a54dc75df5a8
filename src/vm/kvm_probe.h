// What is known of /dev/kvm; probe_kvm() itself is in pyro/machine.h.
#pragma once

#include "pyro/machine.h"

namespace pyro {

struct KvmProbe {
  std::filesystem::path cache_dir;
  std::filesystem::path monitor;
  std::filesystem::path device = "/dev/kvm";
  /// It takes a hundredth of that. A busy host must not be taken for a broken one: the answer is
  /// remembered, and decides between KVM and software.
  std::chrono::milliseconds patience{10'000};
};
[[nodiscard]] KvmReport probe_kvm(const KvmProbe& probe);

/// Until this host boots again, probe_kvm() answers that for this monitor.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report);

}  // namespace pyro
