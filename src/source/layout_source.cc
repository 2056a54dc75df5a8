// An environment from an image layout on this machine.
#include <utility>

#include "base/reference.h"
#include "base/text.h"
#include "pyro/error.h"
#include "source/fetch.h"
#include "source/image_source.h"

namespace pyro {
namespace {

/// A pin takes precedence over the tag. It need not be in the index of the layout: it may be the
/// digest of an image that a nested index lists.
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
  const std::string place = std::string(layout->transport()) + ":" + layout->path().string();
  return fetch_layers(resolved, place, context, extraction,
                      [&](const Descriptor& layer, const BodySink& sink) {
                        layout->read_blob(layer, sink, context.stop);
                      });
}

}  // namespace pyro
