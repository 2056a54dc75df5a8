// An environment out of one archive: over https, or a file.
#pragma once

#include "pyro/catalog.h"
#include "sandbox/extraction.h"
#include "source/fetch.h"

namespace pyro {

/// Streams the archive at `environment.source_url` into `extraction` (spec section 5, point 4).
/// Returning means that it had the pinned digest, where one is pinned.
/// @throws Error
[[nodiscard]] Provenance fetch_from_archive(const Environment& environment,
                                            const FetchContext& context, Extraction& extraction);

}  // namespace pyro
