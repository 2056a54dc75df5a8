// An environment from an image: in a registry, or in an image layout on this machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "net/curl_client.h"
#include "oci/image_layout.h"
#include "oci/manifest.h"
#include "pyro/digest.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"
#include "pyro/source.h"
#include "sandbox/sandboxed_extractor.h"
#include "source/archive_source.h"
#include "source/fetch.h"
#include "stream/extract.h"

namespace pyro {

struct PlannedLayer {
  std::size_t index = 0;  ///< In the manifest.
  std::string label;      ///< "layer 2 of 3 (sha256:...)"
  LayerForm form;
};

struct LayerPlan {
  std::vector<PlannedLayer> layers;  ///< In the manifest's order.
  std::uint64_t compressed_bytes = 0;
  /// The compressed sizes of all layers with the media type of a compressed one: unpacked they take
  /// at least as much.
  std::uint64_t min_unpacked_bytes = 0;
};

/// A layer is a tar, unless its title (oci/manifest.h) is an artifact's name, alone or with ".gz",
/// ".zst", ".xz" or ".bz2" behind it: then it is this artifact, compressed if so named or if its
/// media type ends in "+gzip" or "+zstd". Beside an artifact, tars are fetched and other files are
/// not.
/// @throws Error(integrity) when two layers are one artifact, as neither replaces the other; for a
/// title that leads elsewhere, as for a tar's members; for layers that are encrypted, or hold
/// something else that registries hold: signatures, charts, modules; for more bytes than the limit.
///
/// All layers of a container image are tars, and foreign ones are refused. But if it has one layer,
/// and that is titled rootfs.ext4, this is its file system already.
[[nodiscard]] LayerPlan plan_layers(const Manifest& manifest, const ExtractionLimits& limits,
                                    EnvironmentKind kind = EnvironmentKind::environment);

/// Resolves the reference, or the pin, and streams the layers into `extraction`. Returning means
/// that all bytes were verified.
/// @throws Error
[[nodiscard]] Provenance fetch_from_registry(const RegistrySource& source,
                                             const FetchContext& context,
                                             SandboxedExtractor& extraction);

/// The digests of a pulled image: of its manifest, and of the index if there was one.
struct PulledImage {
  Digest manifest;
  std::optional<Digest> index = {};
};

/// The image that a reference names now.
struct NewestImage {
  Digest digest;
  bool is_newer = false;
};

/// Asks registries for newer images, over shared connections. Retries once at most: it is only a
/// question.
class ImageLookup {
 public:
  /// `progress` may be null; each request is reported to it.
  ImageLookup(const NetworkOptions& network, const std::stop_token& stop,
              ProgressListener* progress);

  /// No registry is asked about an image that is pinned, or named by its digest.
  /// @throws Error
  [[nodiscard]] NewestImage find(const RegistrySource& source, const PulledImage& pulled);

 private:
  const NetworkOptions network_;
  const std::stop_token stop_;
  ProgressListener* const progress_;
  std::optional<CurlClient> http_;
};

/// An image of a layout.
struct LayoutImage {
  LayoutSource source;
  /// The layout, if it is open already.
  std::shared_ptr<const ImageLayout> opened = {};
  std::optional<Digest> digest = {};  ///< Of its manifest or index; takes precedence over the tag.
};

/// The image in an archive, opened; nothing when the archive holds no images or cannot be read, and
/// for a compressed one without `unpacking`.
/// @throws Error(integrity) for damaged images; (interrupted)
[[nodiscard]] std::optional<LayoutImage> image_in_archive(const std::filesystem::path& archive,
                                                          const Unpacking* unpacking);

/// Unpacks a compressed layout.
/// @throws Error as ImageLayout and unpack_archive()
[[nodiscard]] std::shared_ptr<const ImageLayout> open_image_layout(const LayoutSource& source,
                                                                   const Unpacking& unpacking);

/// Compares an image of `layout` with the pin of the catalog, if there is one. Annotations prove
/// nothing.
/// @throws Error(integrity) when it is not the pinned one
void require_pinned(const std::optional<Digest>& pin, const ResolvedImage& image,
                    const std::filesystem::path& layout);

/// Streams the layers of `image` into `extraction`. Returning means that all bytes were verified,
/// and that the image is the pinned one if one is pinned.
///
/// The source of the result is "oci:DIR@<manifest digest>", "oci-archive:FILE@<manifest digest>" or
/// "docker-archive:FILE@<manifest digest>": skopeo's names of the three.
/// @throws Error
[[nodiscard]] Provenance fetch_from_layout(const LayoutImage& image, const FetchContext& context,
                                           SandboxedExtractor& extraction);

}  // namespace pyro
