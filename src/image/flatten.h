// Layers of a container image, or the tree of a distribution, in; one file system out.
//
//   layers → [ decompress → tar → layers laid over each other → holes ] → [ file, fs-verity ]
//            the caller's thread                                          two others
//
// It gets descriptors and opens nothing, so that it can run in a process without access to files.
#pragma once

#include <cstdint>
#include <vector>

#include "image/file_system_writer.h"
#include "pyro/limits.h"
#include "stream/artifacts.h"
#include "stream/extract.h"

namespace pyro::image {

/// Reads all layers, which are tars, compressed or not, and writes an ext4 file system of them to
/// `file`, which is empty and open for writing. The same layers give the same bytes. The caller
/// syncs.
///
/// Threads are started before the first layer is asked for. Unpacked, the layers may take as much
/// as a root file system and the other bytes of `limits` together.
/// @throws Error(integrity, filesystem), and whatever `layers` throws
[[nodiscard]] FinishedFileSystem flatten_layers(LayerStream& layers, int file,
                                                const ExtractionLimits& limits);

/// Reads the tree of a distribution in the same way, and writes its kernel and initrd
/// (image/boot_files.h) and a file system of the rest to `files`, which are numbered as in
/// MergedView. The file system has `size` bytes; those that the content does not need are free. If
/// `size` is 0, a quarter of the content's size is free.
/// @throws Error(failed) when `size` is too small; else as flatten_layers()
[[nodiscard]] std::vector<WrittenArtifact> flatten_distribution(LayerStream& layers,
                                                                const std::vector<int>& files,
                                                                const ExtractionLimits& limits,
                                                                std::uint64_t size);

}  // namespace pyro::image
