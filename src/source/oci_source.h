// An environment out of an OCI registry.
#pragma once

#include "oci/reference.h"
#include "pyro/catalog.h"
#include "sandbox/extraction.h"
#include "source/fetch.h"

namespace pyro {

/// Whether the catalog says enough to pull `environment` from a registry: where, and a tag or a
/// digest.
[[nodiscard]] bool has_oci_source(const Environment& environment) noexcept;

/// The image that it names there.
/// @throws Error(failed) where that is none.
[[nodiscard]] ImageReference image_of(const Environment& environment);

/// Resolves the reference, or the pin, and streams the layers into `extraction` (spec section 6).
/// Returning means that every byte had the digest it must have.
/// @throws Error
[[nodiscard]] Provenance fetch_from_oci(const Environment& environment, const FetchContext& context,
                                        Extraction& extraction);

}  // namespace pyro
