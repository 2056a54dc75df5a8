// A catalog entry that goes along with an exported environment.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "pyro/catalog.h"

namespace pyro {

/// The entry of `environment` as JSON, as it makes sense on another machine: of its sources a
/// registry, and an archive that is served by https without a login or a query, which may be
/// secrets.
///
/// An export is packed anew, so that no pin holds for it. The pinned image becomes the one that the
/// reference names, and an archive with a pin is left out.
[[nodiscard]] std::string write_portable_entry(const Environment& environment);

/// Reads what another machine wrote: checked as an entry of the catalog `file`, which it is to be
/// added to, and with no source that write_portable_entry() would have left out.
/// @throws Error(integrity)
[[nodiscard]] Environment read_portable_entry(std::string_view text,
                                              const std::filesystem::path& file);

}  // namespace pyro
