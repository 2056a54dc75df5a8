// Which layers of an image are fetched, and what each of them is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "oci/manifest.h"
#include "pyro/limits.h"
#include "stream/layer_form.h"

namespace pyro {

struct PlannedLayer {
  std::size_t index = 0;  ///< In the manifest.
  LayerForm form;
};

/// All layers are tars, unless a title (oci/manifest.h) is an artifact's name, alone or with ".gz",
/// ".zst", ".xz" or ".bz2" behind it: that one is this artifact, compressed if so named or if its
/// media type ends in "+gzip" or "+zstd". What other files there are beside one is not fetched;
/// tars are.
/// @throws Error(integrity) when two layers are one artifact, as files beside each other have no
/// order in which one could replace the other; for a title that leads elsewhere, as for a tar's
/// members; for layers that are encrypted, or of something else that registries hold: signatures,
/// charts, modules.
[[nodiscard]] std::vector<PlannedLayer> plan_layers(const Manifest& manifest);

/// How many bytes that will be.
/// @throws Error(integrity) when they are more than the limit
[[nodiscard]] std::uint64_t planned_bytes(const Manifest& manifest,
                                          const std::vector<PlannedLayer>& plan,
                                          const ExtractionLimits& limits);

/// How many bytes they take at least, unpacked: those of layers that say that they are compressed.
/// Others may be full of zeros, which take no room.
[[nodiscard]] std::uint64_t least_room(const Manifest& manifest,
                                       const std::vector<PlannedLayer>& plan);

/// "layer 2 of 3 (sha256:...)"
[[nodiscard]] std::string label_of_layer(const Manifest& manifest, std::size_t index);

}  // namespace pyro
