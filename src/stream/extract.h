// Compressed layers in, artifacts written to open files: the work of a pull that untrusted bytes
// have a say in.
//
//   layers → [ decompress → tar, if it is one → holes ] → [ file, fs-verity ]
//            the caller's thread                          two others
//
// It is handed descriptors and opens nothing, so that it can run in a process that could not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pyro/limits.h"
#include "stream/artifacts.h"
#include "stream/layer_form.h"
#include "stream/merged_view.h"

namespace pyro {

/// Which of the files an archive is unpacked to (LayerForm::Shape::archive).
inline constexpr std::size_t kArchiveFile = kRootfs * MergedView::kMostCandidates;

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

struct Extracted {
  std::vector<WrittenArtifact> artifacts = {};
  /// Unless this is empty: what has to be known before the layers are read once more.
  std::vector<LinkTarget> missing = {};
  /// Of the only layer, where that was an archive to be unpacked as a whole.
  std::optional<std::uint64_t> archive_size = {};
};

/// The artifacts of all layers, merged, once their last block is written. `files`:
/// MergedView::kFiles descriptors open for reading and writing. `targets`: what earlier passes
/// found to be missing.
/// @throws Error(integrity, filesystem), and whatever `layers` throws
[[nodiscard]] Extracted extract_layers(LayerStream& layers, std::vector<int> files,
                                       const ExtractionLimits& limits,
                                       std::vector<LinkTarget> targets);

}  // namespace pyro
