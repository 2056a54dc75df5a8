// Removes from the cache what no longer serves (spec section 8).
#pragma once

#include "pyro/environment_store.h"
#include "store/stores.h"

namespace pyro {

/// Of the stores, only what is installed there is looked at: saved states of that are kept.
[[nodiscard]] PruneReport prune_cache(const Stores& stores, const Catalog& catalog,
                                      const PruneOptions& options);

}  // namespace pyro
