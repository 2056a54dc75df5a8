// An environment out of an OCI registry.
#include "source/oci_source.h"

#include <string_view>
#include <utility>

#include "net/curl_client.h"
#include "oci/reference.h"
#include "oci/registry_client.h"
#include "pyro/error.h"
#include "source/layer_plan.h"

namespace pyro {
namespace {

/// One after the other into `extraction`; counts the bytes.
class LayerFetcher {
 public:
  LayerFetcher(RegistryClient& registry, const FetchContext& context, Extraction& extraction)
      : registry_(registry), context_(context), extraction_(extraction) {}

  void fetch(const Manifest& manifest, const PlannedLayer& planned) {
    const Descriptor& layer = manifest.layers[planned.index];
    Partial& partial = context_.partials.open(layer.digest, layer.size);
    extraction_.begin_layer(label_of_layer(manifest, planned.index), planned.form);
    registry_.fetch_blob(layer,
                         [&](std::span<const std::byte> bytes) {
                           extraction_.write(bytes);
                           partial.append(bytes);
                           context_.received(received_ += bytes.size());
                         },
                         {partial.begin(), [&](const BodySink& sink) { partial.replay(sink); }});
    extraction_.end_layer();
  }

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

 private:
  RegistryClient& registry_;
  const FetchContext& context_;
  Extraction& extraction_;
  std::uint64_t received_ = 0;
};

Provenance provenance_of(const ImageReference& image, const ResolvedImage& resolved) {
  Provenance provenance;
  provenance.source_digest = resolved.manifest_digest.to_string();
  provenance.source =
      "oci://" + image.registry() + "/" + image.repository() + "@" + *provenance.source_digest;
  if (resolved.digest != resolved.manifest_digest) provenance.oci_digest = resolved.digest;
  return provenance;
}

HostWatch watch_hosts(const FetchContext& context) {
  ProgressListener& progress = context.progress;
  return {.left = &context.left_mirrors,
          .warn = [&progress](std::string_view line) { progress.warning(line); },
          .note = [&progress](std::string_view line) { progress.note(line); }};
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
  const auto plan = plan_layers(resolved.manifest);
  context.expecting(planned_bytes(resolved.manifest, plan, context.limits));
  context.require_room_for(least_room(resolved.manifest, plan));
  Provenance provenance = provenance_of(image, resolved);
  LayerFetcher layers(registry, context, extraction);
  for (const PlannedLayer& layer : plan) layers.fetch(resolved.manifest, layer);
  provenance.received_bytes = layers.received();
  return provenance;
}

}  // namespace pyro
