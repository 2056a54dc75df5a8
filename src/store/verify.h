// Compares artifacts and saved states on disk with what was recorded of them.
#pragma once

#include <stop_token>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "store/layout.h"

namespace pyro {

/// Spec section 8. Holes are skipped: their hash is known.
/// @throws Error(interrupted)
[[nodiscard]] VerifyReport verify_installation(const CacheLayout& layout,
                                               const Environment& environment,
                                               const std::stop_token& stop);

/// Adds what was recorded of the files of the caller's saved states of `environment`:
/// "prepared/<network>/memory". An environment with a bad one is `modified`, as far as it was good.
/// @throws Error(filesystem), (interrupted)
void verify_states(const CacheLayout& layout, const Environment& environment, VerifyReport& report,
                   const std::stop_token& stop);

}  // namespace pyro
