// What is known of /dev/kvm; probe_kvm() itself is in pyro/machine.h.
#pragma once

#include "pyro/machine.h"

namespace pyro {

struct KvmProbe {
  std::filesystem::path cache_dir;
  std::filesystem::path monitor;
  std::filesystem::path device = "/dev/kvm";
  std::chrono::milliseconds patience{2'000};  ///< It takes a twentieth of that.
};
[[nodiscard]] KvmReport probe_kvm(const KvmProbe& probe);

/// Until this host boots again, probe_kvm() answers that for this monitor.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report);

}  // namespace pyro
