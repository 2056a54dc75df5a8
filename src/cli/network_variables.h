// What options and variables say of the network: credentials, registries, certificates, proxies.
//
// Source: spec sections 6 and 9; containers-auth.json(5), -registries.conf(5), -certs.d(5);
// everything.curl.dev for proxies.
#pragma once

#include "cli/settings.h"

namespace pyro::cli {

/// @throws Error(usage) for a variable that is none of what it may be.
[[nodiscard]] NetworkOptions network_options(const GlobalOptions& options,
                                             const Variables& variables);

}  // namespace pyro::cli
