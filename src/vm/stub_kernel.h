// The smallest kernel that QEMU boots: it writes one number to one port, and stops.
//
// Source: the x86/HVM direct boot ABI (PVH) of Xen; System V ABI, ELF-64.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"

namespace pyro {

inline constexpr std::uint16_t kStubPort = 0xf4;
inline constexpr std::uint8_t kStubNumber = 42;

/// An ELF file.
[[nodiscard]] std::string stub_kernel();

/// That, in memory.
[[nodiscard]] Fd make_stub_kernel();

}  // namespace pyro
