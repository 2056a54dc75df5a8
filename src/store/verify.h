// Compares artifacts on disk with what the install record says they were.
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

}  // namespace pyro
