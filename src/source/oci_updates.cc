// Whether a registry has newer images than those that are installed.
#include "source/oci_updates.h"

#include <algorithm>

#include "oci/registry_client.h"
#include "source/oci_source.h"

namespace pyro {
namespace {

bool is_what(const Digest& digest, const PulledImage& pulled) {
  return digest == pulled.manifest || digest == pulled.index;
}

std::optional<Digest> pin_of(const Environment& environment, const ImageReference& image) {
  return environment.oci_digest ? environment.oci_digest : image.digest();
}

}  // namespace

ImageLookup::ImageLookup(const NetworkOptions& network, const std::stop_token& stop,
                         ProgressListener* progress)
    : network_(network), stop_(stop), progress_(progress) {}

NewestImage ImageLookup::find(const Environment& environment, const PulledImage& pulled) {
  const ImageReference image = image_of(environment);
  if (const auto pin = pin_of(environment, image)) return {*pin, !is_what(*pin, pulled)};
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
  if (is_what(named.digest, pulled)) return {named.digest, false};
  // Not known is which index it was: the Python reference does not write it down.
  if (named.is_index && !pulled.index) {
    const ResolvedImage resolved = registry.resolve();
    return {resolved.digest, resolved.manifest_digest != pulled.manifest};
  }
  return {named.digest, true};
}

}  // namespace pyro
