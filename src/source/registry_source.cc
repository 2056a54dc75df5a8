// An environment from an image in a registry.
#include <algorithm>
#include <string_view>
#include <utility>

#include "base/reference.h"
#include "net/curl_client.h"
#include "oci/registry_client.h"
#include "pyro/error.h"
#include "source/image_source.h"

namespace pyro {
namespace {

HostWatch watch_hosts(const FetchContext& context) {
  ProgressListener& progress = context.progress;
  return {.session = &context.session,
          .warn = [&progress](std::string_view line) { progress.warning(line); },
          .note = [&progress](std::string_view line) { progress.note(line); }};
}

bool is_same(const Digest& digest, const PulledImage& pulled) {
  return digest == pulled.manifest || digest == pulled.index;
}

}  // namespace

Provenance fetch_from_registry(const RegistrySource& source, const FetchContext& context,
                               SandboxedExtractor& extraction) {
  const ImageReference& image = source.image;
  context.progress.started(context.environment, image.to_string());
  CurlClient http(client_options(context));
  RegistryClient registry(http, image, context.network, retry_options(context),
                          watch_hosts(context));
  const ResolvedImage resolved = registry.resolve(source.pin);
  const std::string place = "oci://" + image.registry() + "/" + image.repository();
  return fetch_layers(
      resolved, place, context, extraction, [&](const Descriptor& layer, const BodySink& sink) {
        Partial& partial = context.partials.open(layer.digest, layer.size);
        const auto pass_on = [&](std::span<const std::byte> bytes) {
          sink(bytes);
          partial.append(bytes);
        };
        registry.fetch_blob("layer", layer, pass_on,
                            {partial.begin(), [&](const BodySink& kept) { partial.replay(kept); }});
      });
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
  // The pulled index is unknown: the Python reference does not record it.
  if (named.is_index && !pulled.index) {
    const ResolvedImage resolved = registry.resolve();
    return {resolved.digest, resolved.manifest_digest != pulled.manifest};
  }
  return {named.digest, true};
}

}  // namespace pyro
