// Removes from the cache what no longer serves (spec section 8).
#pragma once

#include "pyro/environment_store.h"
#include "store/layout.h"

namespace pyro {

[[nodiscard]] PruneReport prune_cache(const CacheLayout& layout, const Catalog& catalog,
                                      const PruneOptions& options);

}  // namespace pyro
