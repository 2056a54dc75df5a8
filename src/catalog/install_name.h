// The name of an environment's install directory.
#pragma once

#include <string>

#include "pyro/catalog.h"

namespace pyro {

/// `debian:12` of version `1.0.0` lives in "debian_12-1.0.0": exactly the reference's naming, so
/// that caches can be shared. A single path component, as name and version were checked when read.
[[nodiscard]] std::string install_directory_name(const Environment& environment);

}  // namespace pyro
