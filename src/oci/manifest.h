// The documents of an image: descriptors, manifests and indexes, and the image for this platform.
//
// Source: OCI image specification (descriptor.md, manifest.md, image-index.md, annotations.md) and
// Docker's image manifest version 2, schema 2.
//
// A layer is a tar, or a single file as `oras push` makes them: then its annotation kTitle is the
// file's name. The media type does not distinguish the two: by default oras gives files the type
// "application/vnd.oci.image.layer.v1.tar". A folder has a title as well, is a tar, and is marked
// with kUnpack.
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
#include "pyro/error.h"

namespace pyro {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxLayers = 128;
inline constexpr std::size_t kMaxManifests = 256;

inline constexpr char kOciIndexType[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciManifestType[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciConfigType[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayerType[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kDockerIndexType[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerManifestType[] =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerConfigType[] = "application/vnd.docker.container.image.v1+json";

/// The media types of manifests and indexes that parse_manifest() takes, as one Accept field.
inline constexpr std::string_view kManifestAccept =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

inline constexpr std::string_view kTitle = "org.opencontainers.image.title";
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kUnpack = "io.deis.oras.content.unpack";

/// Those whose value is a string. Untrusted, as all text from outside.
using Annotations = std::map<std::string, std::string, std::less<>>;

/// The value of that key; empty without one.
[[nodiscard]] std::string_view annotation(const Annotations& annotations, std::string_view key);

struct Platform {
  std::string os;
  std::string architecture;
};

/// A reference to content: enough to fetch and to verify it.
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
  /// Nothing when the config is not that of an image, as with `oras push`.
  std::optional<Descriptor> config = {};
  Annotations annotations = {};
};

/// A choice of images.
struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;  ///< At most kMaxManifests.
};

/// Whether it is the type of an index, or of Docker's list.
[[nodiscard]] bool is_index_type(std::string_view media_type) noexcept;

/// Parses a manifest or an index strictly: refuses documents that could be read in two ways.
/// `content_type` is the media type by the registry, without parameters; empty for none.
/// @throws Error(integrity) naming the rule that the document breaks; (interrupted).
[[nodiscard]] std::variant<Manifest, Index> parse_manifest(std::string_view text,
                                                           std::string_view content_type,
                                                           const std::stop_token& stop = {});

/// The platform in a config; fields that it does not have are empty, as are those of configs of
/// other things than images, and of nonsense.
[[nodiscard]] Platform config_platform(std::string_view text);

/// Whether it is linux on amd64 (or "x86_64"). Empty fields match.
[[nodiscard]] bool is_our_platform(const Platform& platform);

/// The first entry for linux on amd64 (or "x86_64"); null without one.
[[nodiscard]] const Descriptor* choose_platform(const Index& index);

/// The manifests and indexes among the entries that have no platform.
[[nodiscard]] std::vector<Descriptor> entries_without_platform(const Index& index);

/// "linux/arm64, windows/amd64": the platforms of an index, for a message.
[[nodiscard]] std::string list_platforms(const Index& index);

/// A manifest or index, verified.
struct Document {
  Digest digest;
  std::variant<Manifest, Index> content;
};

/// The meaning of an image's name at one moment; all later requests are by digest.
struct ResolvedImage {
  Digest digest;           ///< Of the manifest or index that the reference names.
  Digest manifest_digest;  ///< Of the manifest for this platform; the same without an index.
  Manifest manifest;
};

/// A source of documents of an image, verified.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;

  /// The manifest or index of `descriptor`.
  [[nodiscard]] virtual Document document(const Descriptor& descriptor) = 0;
  /// The text of an image's config; empty when it is not there.
  [[nodiscard]] virtual std::string config(const Descriptor& descriptor) = 0;
};

/// Resolves `top` to the image for this platform, through one nested index at most. The config
/// decides about manifests that no index gives a platform.
/// @throws Error(`no_platform`) "<subject> has no image for linux/amd64: there is only ..."; and
/// exceptions of `source`
[[nodiscard]] ResolvedImage resolve_platform(Document top, const std::string& subject,
                                             ErrorCode no_platform, DocumentSource& source);

}  // namespace pyro
