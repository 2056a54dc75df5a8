// An environment out of an image layout on this machine: a directory, or a tar.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "oci/image_layout.h"
#include "pyro/catalog.h"
#include "sandbox/extraction.h"
#include "source/fetch.h"
#include "source/unpacked_archive.h"

namespace pyro {

/// An image of a layout, as somebody asks for it.
struct LayoutImage {
  std::filesystem::path layout;
  std::string tag = {};               ///< Empty: the only one there is.
  std::optional<Digest> digest = {};  ///< Of its manifest or index; counts more than the tag.
  /// As the person named it who asks (oci/layout_files.h); empty: as its content says.
  std::string transport = {};
  /// The layout, where it is open already.
  std::shared_ptr<const ImageLayout> opened = {};
};

/// What `environment.source_url` asks for, where that is "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]"
/// or "docker-archive:FILE[:NAME:TAG]".
[[nodiscard]] std::optional<LayoutImage> layout_source(const Environment& environment);

/// The image in the archive on this machine that `environment.source_url` is the path of, opened;
/// nothing where that holds no images, or cannot be read.
/// @throws Error(integrity) for images that are damaged; (interrupted)
[[nodiscard]] std::optional<LayoutImage> image_in_archive(const Environment& environment,
                                                          const Unpacking& unpacking);

/// What is compressed is unpacked.
/// @throws Error as ImageLayout and unpack_archive()
[[nodiscard]] std::shared_ptr<const ImageLayout> open_image_layout(
    const std::filesystem::path& path, const std::string& transport, const Unpacking& unpacking);

/// Holds the catalog's pins against an image of `layout`.
/// @throws Error(integrity) when it is not the pinned one: whatever its annotations say
void require_pinned(const Environment& environment, const ResolvedImage& image,
                    const std::filesystem::path& layout);

/// Streams its layers into `extraction`. Returning means that every byte had the digest it must
/// have, and that the image is the pinned one, where one is pinned.
///
/// `source` becomes "oci:DIR@<manifest digest>", "oci-archive:FILE@<manifest digest>" or
/// "docker-archive:FILE@<manifest digest>": skopeo's names of the three.
/// @throws Error
[[nodiscard]] Provenance fetch_from_layout(const Environment& environment, const LayoutImage& image,
                                           const FetchContext& context, Extraction& extraction);

}  // namespace pyro
