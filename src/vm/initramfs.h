// What a machine boots into: the environment's initrd, and over it the guest program as init.
#pragma once

#include "base/files.h"

namespace pyro {

/// In memory, ready to be read from its start. `initrd` is open, or -1 where there is none.
[[nodiscard]] Fd make_initramfs(int initrd);

}  // namespace pyro
