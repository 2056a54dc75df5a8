// What a registry says of an image: descriptors, manifests, and indexes of manifests.
//
// Source: OCI image specification (descriptor.md, manifest.md, image-index.md, annotations.md) and
// Docker's image manifest version 2, schema 2; limits in section 0 of the reliability notes.
//
// A layer is a tar, unless it is a file of its own, as `oras push` makes them: then its annotation
// kTitle is the file's name. The media type does not tell the two apart: oras calls files
// "application/vnd.oci.image.layer.v1.tar" unless told otherwise. A folder has a title as well, is
// a tar, and says so with kUnpack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pyro/digest.h"

namespace pyro {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxLayers = 128;
inline constexpr std::size_t kMaxManifests = 256;

/// The four media types that are understood, as one Accept field.
inline constexpr std::string_view kManifestAccept =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

inline constexpr std::string_view kTitle = "org.opencontainers.image.title";
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kUnpack = "io.deis.oras.content.unpack";

/// Those whose value is a string; hostile, as all text from outside.
using Annotations = std::map<std::string, std::string, std::less<>>;

/// The value of that key; empty where there is none.
[[nodiscard]] std::string_view annotation(const Annotations& annotations, std::string_view key);

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
  Annotations annotations = {};
};

/// One image.
struct Manifest {
  std::string media_type;
  std::vector<Descriptor> layers;  ///< Lowest first; 1 to kMaxLayers.
  /// An image's; nothing where the config is another thing's, as those of `oras push` are.
  std::optional<Descriptor> config = {};
  Annotations annotations = {};
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
/// @throws Error(integrity) saying which rule the document breaks; (interrupted).
[[nodiscard]] std::variant<Manifest, Index> parse_manifest(std::string_view json,
                                                           std::string_view content_type,
                                                           const std::stop_token& stop = {});

/// What a config says that the image is for; empty fields where it does not say. Configs of other
/// things, and nonsense, say nothing.
[[nodiscard]] Platform config_platform(std::string_view json);

/// Whether that is linux on amd64 (or "x86_64"). Empty fields contradict nothing.
[[nodiscard]] bool is_our_platform(const Platform& platform);

/// The first entry for linux on amd64 (or "x86_64"); null when there is none.
[[nodiscard]] const Descriptor* choose_platform(const Index& index);

/// The manifests and indexes among the entries that do not say which platform they are for.
[[nodiscard]] std::vector<Descriptor> entries_without_platform(const Index& index);

/// "linux/arm64, windows/amd64": what there is to choose from, for a message.
[[nodiscard]] std::string list_platforms(const Index& index);

}  // namespace pyro
