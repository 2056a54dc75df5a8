// Scratch disks: what a machine writes goes there instead of into its memory. A disk has no name,
// so it is gone with its machine.
#pragma once

#include <stop_token>

#include "base/files.h"
#include "store/layout.h"

namespace pyro {

/// An empty disk: a sparse copy of a file system that mke2fs makes once for each size.
/// @throws Error(failed) without mke2fs; (filesystem), (interrupted)
[[nodiscard]] Fd make_scratch_disk(const CacheLayout& layout, unsigned mebibytes,
                                   const std::stop_token& stop);

/// Gives the file `disk`, whose content is lost, that of an empty disk, or of the disk `saved` of a
/// state if that is not -1.
/// @throws as both of the others
void fill_scratch_disk(const CacheLayout& layout, unsigned mebibytes, int saved, int disk,
                       const std::stop_token& stop);

/// A copy of the disk of a saved state.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] Fd copy_scratch_disk(const CacheLayout& layout, int disk,
                                   const std::stop_token& stop);

}  // namespace pyro
