// Whether KVM works: QEMU must have run the smallest kernel with it, and fast. That kernel counts,
// writes one number to one port, and halts.
//
// Source: the x86/HVM direct boot ABI (PVH) of Xen; System V ABI, ELF-64. probe_kvm() of a cache is
// declared in pyro/machine.h.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"
#include "pyro/machine.h"

namespace pyro {

inline constexpr std::uint16_t kStubPort = 0xf4;
inline constexpr std::uint8_t kStubNumber = 42;

/// The kernel as an ELF file.
[[nodiscard]] std::string stub_kernel();

/// The same in a file in memory.
[[nodiscard]] Fd make_stub_kernel();

struct KvmProbe {
  std::filesystem::path cache_dir;
  std::filesystem::path monitor;
  std::filesystem::path device = "/dev/kvm";
  /// A hundred times the usual duration. A busy host must not count as a broken one, as the result
  /// is stored.
  std::chrono::milliseconds timeout{10'000};
};
[[nodiscard]] KvmReport probe_kvm(const KvmProbe& probe);

/// Stores the result for probe_kvm() with this monitor, until this host boots again.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report);

}  // namespace pyro
