// What a registry says of an image: descriptors, manifests, and indexes of manifests.
//
// Source: OCI image specification (descriptor.md, manifest.md, image-index.md) and Docker's image
// manifest version 2, schema 2; limits in section 0 of the reliability notes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pyro/digest.h"

namespace pyro {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxLayers = 64;
inline constexpr std::size_t kMaxManifests = 256;

/// The four media types that are understood, as one Accept field.
inline constexpr std::string_view kManifestAccept =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

struct Platform {
  std::string os;
  std::string architecture;
};

/// A reference to content: enough to fetch it and to know it again.
struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;  ///< In bytes, at most 2^53.
  std::optional<Platform> platform = {};
  /// A build attestation in an index (platform "unknown", or annotated as one): never an image.
  bool attestation = false;
};

/// One image.
struct Manifest {
  std::string media_type;
  std::vector<Descriptor> layers;  ///< Lowest first; 1 to kMaxLayers.
};

/// A choice of images.
struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;  ///< At most kMaxManifests.
};

/// Whether that is the type of an index, or of Docker's list.
[[nodiscard]] bool is_index_type(std::string_view media_type) noexcept;

/// Reads a manifest or an index, strictly: what could be read in two ways is refused.
/// `content_type` is the media type the registry gave, without parameters; empty for none.
/// @throws Error(integrity) saying which rule the document breaks.
[[nodiscard]] std::variant<Manifest, Index> parse_manifest(std::string_view json,
                                                           std::string_view content_type);

/// The first entry for linux on amd64 (or "x86_64"); null when there is none.
[[nodiscard]] const Descriptor* choose_platform(const Index& index);

/// The manifests and indexes among the entries that do not say which platform they are for.
[[nodiscard]] std::vector<Descriptor> entries_without_platform(const Index& index);

/// "linux/arm64, windows/amd64": what there is to choose from, for a message.
[[nodiscard]] std::string list_platforms(const Index& index);

}  // namespace pyro
