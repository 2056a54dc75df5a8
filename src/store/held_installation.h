// An installed environment in use: its files open, and locked against prune.
#pragma once

#include <optional>

#include "base/files.h"
#include "store/installation.h"
#include "store/use_lock.h"

namespace pyro {

struct HeldInstallation {
  Installation installation;
  Fd directory = {};
  UseLock use = {};  ///< Shared.
  Fd kernel = {};
  Fd rootfs = {};
  Fd initrd = {};  ///< Empty where there is none.
};

/// For reading; a pull may replace the install meanwhile, and what is open stays as it is. Nothing
/// when it is not installed.
/// @throws Error(filesystem) when a file cannot be opened or may not be used, or there are no
/// locks; Error(busy) while it is being removed.
[[nodiscard]] std::optional<HeldInstallation> hold_installation(const CacheLayout& layout,
                                                                const Environment& environment);

}  // namespace pyro
