// The user's catalog, and references to images in place of names: `pyro run
// docker.io/library/python:3.12`.
#pragma once

#include <string>

#include "cli/command.h"
#include "pyro/user_catalog.h"

namespace pyro::cli {

/// The name of the catalog entry that `typed` means: of a reference its full form, anything else as
/// it is.
/// @throws Error(usage) for a path, another source, or a short name
[[nodiscard]] std::string entry_name(const std::string& typed);

/// The user's catalog, whether its file exists or not.
/// @throws Error(failed) when no variable says where it is
[[nodiscard]] UserCatalog user_catalog_of(const Context& context);

/// Adds the image called `name` to the user's catalog unless a catalog has it, and loads the
/// catalogs again.
/// @throws Error as UserCatalog::add()
void add_image(Context& context, const std::string& name);

}  // namespace pyro::cli
