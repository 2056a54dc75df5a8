// An environment from an image layout on this machine.
#include <utility>

#include "pyro/error.h"
#include "source/fetch.h"
#include "source/image_source.h"

namespace pyro {
namespace {

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
                                            const Unpacking& unpacking) {
  Fd file;
  try {
    file = unpack_archive(open_layout(archive), archive, unpacking);
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
  return fetch_layers(resolved, place, context, extraction,
                      [&](const Descriptor& layer, const BodySink& sink) {
                        layout->read_blob(layer, sink, context.stop);
                      });
}

}  // namespace pyro
