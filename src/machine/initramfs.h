// The initramfs of a machine: the initrd of the environment, and over it the guest program as init.
#pragma once

#include <string_view>

#include "base/files.h"

namespace pyro {

/// The initramfs as a file in memory, at its start. `initrd` is open, or -1 where there is none.
/// @throws Error(filesystem)
[[nodiscard]] Fd make_initramfs(int initrd);

/// SHA-256 of the guest program (src/guest/), in lower-case digits.
[[nodiscard]] std::string_view guest_program_digest() noexcept;

}  // namespace pyro
