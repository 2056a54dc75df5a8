// Layers of a container image in, one file system out.
//
//   layers → [ decompress → tar → layers laid over each other → holes ] → [ file ]
//            the caller's thread                                          another
//
// It gets descriptors and opens nothing, so that it can run in a process without access to files.
#pragma once

#include <cstdint>

#include "pyro/limits.h"
#include "stream/extract.h"

namespace pyro::image {

/// Reads all layers, which are tars, compressed or not, and writes an ext4 file system of them to
/// `file`, which is empty and open for writing. The same layers give the same bytes. Returns the
/// size; the caller syncs.
///
/// Threads are started before the first layer is asked for. Unpacked, the layers may take as much
/// as a root file system and the other bytes of `limits` together.
/// @throws Error(integrity, filesystem), and whatever `layers` throws
[[nodiscard]] std::uint64_t flatten_layers(LayerStream& layers, int file,
                                           const ExtractionLimits& limits);

}  // namespace pyro::image
