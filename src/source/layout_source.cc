// An environment out of an image layout.
#include "source/layout_source.h"

#include <utility>

#include "base/ascii.h"
#include "base/oci_names.h"
#include "pyro/error.h"
#include "source/layer_plan.h"
#include "source/source_path.h"

namespace pyro {
namespace {

Provenance provenance_of(const ImageLayout& layout, const ResolvedImage& resolved) {
  Provenance provenance;
  provenance.source_digest = resolved.manifest_digest.to_string();
  provenance.source = std::string(layout.transport()) + ":" + layout.path().string() + "@" +
                      *provenance.source_digest;
  if (resolved.digest != resolved.manifest_digest) provenance.oci_digest = resolved.digest;
  return provenance;
}

/// A pin is chosen before the tag; it need not be there, as it may be that of an index's image.
ResolvedImage resolve(const ImageLayout& layout, const LayoutImage& image,
                      const std::optional<Digest>& pin) {
  const std::optional<Digest>& wanted = image.digest ? image.digest : pin;
  const Descriptor* const entry = wanted ? layout.find(*wanted) : nullptr;
  if (entry != nullptr) return layout.resolve(*entry);
  if (!image.digest) return layout.resolve(image.tag);
  throw Error(ErrorCode::integrity,
              layout.path().string() + " has no image " + image.digest->to_string());
}

}  // namespace

void require_pinned(const Environment& environment, const ResolvedImage& image,
                    const std::filesystem::path& layout) {
  const auto& pin = environment.oci_digest;
  if (pin && *pin != image.digest && *pin != image.manifest_digest) {
    throw Error(ErrorCode::integrity,
                "the image in " + layout.string() + " is " + image.digest.to_string() +
                    ", but the catalog pins " + pin->to_string(),
                "what an export says of its origin proves nothing: bring the pinned image itself, "
                "with 'skopeo copy --preserve-digests docker://... oci-archive:FILE'");
  }
  if (environment.source_sha256 && !pin) {
    throw Error(ErrorCode::integrity,
                "the catalog pins the archive that '" + environment.name +
                    "' comes from, and an image is no archive",
                "bring the archive itself, and point the entry's 'source_url' at it");
  }
}

std::optional<LayoutImage> layout_source(const Environment& environment) {
  if (!environment.source_url) return std::nullopt;
  const auto url = split_layout_url(*environment.source_url);
  if (!url) return std::nullopt;
  return LayoutImage{.layout = std::string(url->path),
                     .tag = std::string(url->tag),
                     .transport = to_lower(url->scheme)};
}

std::optional<LayoutImage> image_in_archive(const Environment& environment,
                                            const Unpacking& unpacking) {
  const auto path = source_path(*environment.source_url);
  if (!path) return std::nullopt;
  Fd file;
  try {
    file = unpack_archive(open_layout(*path), *path, unpacking);
    if (transport_in(TarIndex(file.get(), *path), file.get()).empty()) return std::nullopt;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    return std::nullopt;
  }
  return LayoutImage{.layout = *path,
                     .opened = std::make_shared<const ImageLayout>(std::move(file), *path)};
}

std::shared_ptr<const ImageLayout> open_image_layout(const std::filesystem::path& path,
                                                     const std::string& transport,
                                                     const Unpacking& unpacking) {
  return std::make_shared<const ImageLayout>(unpack_archive(open_layout(path), path, unpacking),
                                             path, transport);
}

Provenance fetch_from_layout(const Environment& environment, const LayoutImage& image,
                             const FetchContext& context, Extraction& extraction) {
  context.progress.started(environment.name, image.layout.string());
  const auto layout = image.opened
                          ? image.opened
                          : open_image_layout(image.layout, image.transport, context.unpacking);
  const ResolvedImage resolved = resolve(*layout, image, environment.oci_digest);
  require_pinned(environment, resolved, image.layout);
  const auto plan = plan_layers(resolved.manifest);
  context.expecting(planned_bytes(resolved.manifest, plan, context.limits));
  context.require_room_for(least_room(resolved.manifest, plan));
  Provenance provenance = provenance_of(*layout, resolved);
  for (const PlannedLayer& layer : plan) {
    extraction.begin_layer(label_of_layer(resolved.manifest, layer.index), layer.form);
    layout->read_blob(
        resolved.manifest.layers[layer.index],
        [&](std::span<const std::byte> bytes) {
          extraction.write(bytes);
          context.received(provenance.received_bytes += bytes.size());
        },
        context.stop);
    extraction.end_layer();
  }
  return provenance;
}

}  // namespace pyro
