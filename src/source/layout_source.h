// An environment out of an image layout on this machine: a directory, or a tar.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "oci/image_layout.h"
#include "pyro/catalog.h"
#include "sandbox/extraction.h"
#include "source/fetch.h"

namespace pyro {

/// An image of a layout, as somebody asks for it.
struct LayoutImage {
  std::filesystem::path layout;
  std::string tag = {};               ///< Empty: the only one there is.
  std::optional<Digest> digest = {};  ///< Of its manifest or index; counts more than the tag.
};

/// What `environment.source_url` asks for, where that is "oci:DIR[:TAG]" or
/// "oci-archive:FILE[:TAG]".
[[nodiscard]] std::optional<LayoutImage> layout_source(const Environment& environment);

/// Holds the catalog's pins against an image of `layout`.
/// @throws Error(integrity) when it is not the pinned one: whatever its annotations say
void require_pinned(const Environment& environment, const ResolvedImage& image,
                    const std::filesystem::path& layout);

/// Streams its layers into `extraction`. Returning means that every byte had the digest it must
/// have, and that the image is the pinned one, where one is pinned.
///
/// `source` becomes "oci:DIR@<manifest digest>" or "oci-archive:FILE@<manifest digest>": skopeo's
/// names of the two.
/// @throws Error
[[nodiscard]] Provenance fetch_from_layout(const Environment& environment, const LayoutImage& image,
                                           const FetchContext& context, Extraction& extraction);

}  // namespace pyro
