// Compressed layers in, artifacts written to open files.
//
//   layers → [ decompress → tar, if it is one → holes ] → [ file, fs-verity ]
//            the caller's thread                          two others
//
// This is the work of a pull on untrusted bytes. It gets descriptors and opens nothing, so that it
// can run in a process without access to files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "pyro/limits.h"
#include "stream/artifacts.h"
#include "stream/decompress.h"
#include "stream/merged_view.h"

namespace pyro {

class ArtifactWriter;

/// How the bytes of a layer become files. Sent to the extractor's process.
struct LayerForm {
  enum class Shape : std::uint32_t {
    tar,              ///< Compressed or not, detected by content.
    file,             ///< One artifact: initrd.img unchanged, others like compressed_file.
    compressed_file,  ///< One artifact, compressed or not, detected by content.
    archive,          ///< Compressed; unpacked as it is, into kArchiveFile.
  };
  Shape shape = Shape::tar;
  std::uint32_t artifact = 0;  ///< Index in kArtifactKinds, for the two file shapes.
  /// Required unless the layer's bytes are compared with a digest.
  Checksums checksums = Checksums::check;

  friend bool operator==(const LayerForm&, const LayerForm&) = default;
};
// Padding would send bytes of the sender's memory.
static_assert(std::has_unique_object_representations_v<LayerForm>);

/// The file that an archive is unpacked to (LayerForm::Shape::archive).
inline constexpr std::size_t kArchiveFile = kRootfs * MergedView::kMaxCandidates;

/// The limit of the apparent size of an artifact.
[[nodiscard]] std::uint64_t limit_of(const ExtractionLimits& limits, std::size_t kind) noexcept;

/// The limit of the sizes of all candidates' files together: one artifact of each kind, and as many
/// bytes of others as are allowed beside the artifacts.
[[nodiscard]] std::uint64_t max_total_size(const ExtractionLimits& limits) noexcept;

/// Compressed layers, the lowest first.
class LayerStream {
 public:
  virtual ~LayerStream() = default;

  /// Waits for the next layer, or the only archive, to begin. Nothing at the end.
  [[nodiscard]] virtual std::optional<LayerForm> next_layer() = 0;

  /// The next piece of the current layer, valid until the next call; empty at its end.
  [[nodiscard]] virtual std::span<const std::byte> next() = 0;
};

struct Extracted {
  std::vector<WrittenArtifact> artifacts = {};
  /// Unless this is empty: targets that another pass over the layers needs, in addition.
  std::vector<LinkTarget> missing = {};
  /// The only layer, where that was an archive to be unpacked as a whole.
  std::optional<WrittenArtifact> archive = {};
};

/// The artifacts of all layers, merged, once their last block is written. `files`:
/// MergedView::kFiles descriptors open for reading and writing. `targets`: Extracted::missing of
/// earlier passes.
/// @throws Error(integrity, filesystem), and whatever `layers` throws
[[nodiscard]] Extracted extract_layers(LayerStream& layers, std::vector<int> files,
                                       const ExtractionLimits& limits,
                                       std::vector<LinkTarget> targets);

/// The same with a writer of such files. After an error it can be used again once its finish() has
/// returned.
[[nodiscard]] Extracted extract_layers(LayerStream& layers, ArtifactWriter& writer,
                                       const ExtractionLimits& limits,
                                       std::vector<LinkTarget> targets);

}  // namespace pyro
