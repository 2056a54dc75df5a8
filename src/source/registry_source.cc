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

std::optional<Digest> pin_of(const Environment& environment, const ImageReference& image) {
  return environment.oci_digest ? environment.oci_digest : image.digest();
}

}  // namespace

bool has_oci_source(const Environment& environment) noexcept {
  return environment.oci_registry && environment.oci_repository &&
         (environment.oci_reference || environment.oci_digest);
}

ImageReference image_of(const Environment& environment) {
  const std::string reference =
      environment.oci_reference ? *environment.oci_reference : environment.oci_digest->to_string();
  auto image =
      ImageReference::make(*environment.oci_registry, *environment.oci_repository, reference);
  if (!image) throw Error(ErrorCode::failed, "its catalog entry names no valid OCI image");
  return std::move(*image);
}

Provenance fetch_from_oci(const Environment& environment, const FetchContext& context,
                          Extraction& extraction) {
  const ImageReference image = image_of(environment);
  context.progress.started(environment.name, image.to_string());
  CurlClient http(client_options(context));
  RegistryClient registry(http, image, context.network, retry_options(context, environment.name),
                          watch_hosts(context));
  const ResolvedImage resolved = registry.resolve(environment.oci_digest);
  const std::string place = "oci://" + image.registry() + "/" + image.repository();
  return fetch_layers(
      resolved, place, context, extraction, [&](const Descriptor& layer, const BodySink& sink) {
        Partial& partial = context.partials.open(layer.digest, layer.size);
        const auto pass_on = [&](std::span<const std::byte> bytes) {
          sink(bytes);
          partial.append(bytes);
        };
        registry.fetch_blob(layer, pass_on,
                            {partial.begin(), [&](const BodySink& kept) { partial.replay(kept); }});
      });
}

ImageLookup::ImageLookup(const NetworkOptions& network, const std::stop_token& stop,
                         ProgressListener* progress)
    : network_(network), stop_(stop), progress_(progress) {}

NewestImage ImageLookup::find(const Environment& environment, const PulledImage& pulled) {
  const ImageReference image = image_of(environment);
  if (const auto pin = pin_of(environment, image)) return {*pin, !is_same(*pin, pulled)};
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
