// The options of the C API: JSON texts, parsed at the border.
//
// Source: pyro/pyro.h says which fields there are.
#pragma once

#include <string_view>

#include "cli/settings.h"
#include "pyro/environment_store.h"

namespace pyro::capi {

// Of each an empty text stands for an object without fields. What is no such object is
// Error(usage) that names the field.

/// Options first, then variables, then defaults, as the executable has them.
[[nodiscard]] StoreOptions parse_store_options(std::string_view text,
                                               const cli::Variables& variables);

[[nodiscard]] PullMode parse_pull_options(std::string_view text);

[[nodiscard]] PruneOptions parse_prune_options(std::string_view text);

}  // namespace pyro::capi
