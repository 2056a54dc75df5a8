// How the bytes of a layer become files.
#pragma once

#include <cstdint>
#include <type_traits>

#include "stream/decompress.h"

namespace pyro {

/// Said by who fetches a layer to who takes it apart, across processes.
struct LayerForm {
  enum class Shape : std::uint32_t {
    tar,              ///< Compressed or not: its content tells.
    file,             ///< One artifact: an initrd.img byte for byte, others as the next.
    compressed_file,  ///< One artifact, compressed if its content tells so.
    archive,          ///< Compressed; unpacked as it is, to where a root file system would be.
  };
  Shape shape = Shape::tar;
  std::uint32_t artifact = 0;  ///< Index in kArtifactKinds, of the files.
  /// Unless the layer's bytes are held against a digest, its own checksums have to be checked.
  Checksums checksums = Checksums::check;

  friend bool operator==(const LayerForm&, const LayerForm&) = default;
};
// No padding, in which bytes of the sender's memory would go along.
static_assert(std::has_unique_object_representations_v<LayerForm>);

}  // namespace pyro
