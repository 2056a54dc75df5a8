// Takes an install out of the cache.
#pragma once

#include <string>

#include "store/layout.h"

namespace pyro {

/// Whether the install in the directory of that name, open as `directory`, is used or being pulled.
[[nodiscard]] bool is_in_use(const CacheLayout& layout, const std::string& name, int directory);

/// Removes what is called `name` in the platform folder, open as `platform`, if that still is what
/// is open as `directory`. Out of its place in one step, so that nobody sees half an install. False
/// when it is in use or was replaced meanwhile; what is in use is locked
/// (store/held_installation.h).
/// @throws Error(filesystem)
[[nodiscard]] bool remove_install(const CacheLayout& layout, int platform, const std::string& name,
                                  int directory);

}  // namespace pyro
