// Compressed layers in, artifacts written to open files: the work of a pull that untrusted bytes
// have a say in.
//
//   layers → [ decompress → tar, if it is one → holes ] → [ file, fs-verity ]
//            the caller's thread                          two others
//
// It is handed descriptors and opens nothing, so that it can run in a process that could not.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "pyro/environment_store.h"
#include "stream/artifacts.h"
#include "stream/layer_form.h"

namespace pyro {

/// Where compressed layers come from, the lowest first.
class LayerStream {
 public:
  virtual ~LayerStream() = default;

  /// Waits for the next layer, or the only archive, to begin: what its bytes are. Nothing when
  /// there is none.
  [[nodiscard]] virtual std::optional<LayerForm> next_layer() = 0;

  /// The next piece of the current layer, valid until the next call; empty at its end.
  [[nodiscard]] virtual std::span<const std::byte> next() = 0;
};

/// The artifacts of all layers, merged, once their last block is written. `files`:
/// MergedView::kFiles descriptors open for reading and writing.
/// @throws Error(integrity, filesystem), and whatever `layers` throws
[[nodiscard]] std::vector<WrittenArtifact> extract_layers(LayerStream& layers,
                                                          std::vector<int> files,
                                                          const ExtractionLimits& limits);

}  // namespace pyro
