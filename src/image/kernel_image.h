// The kernel in a bzImage, as distributions ship it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "stream/output_ring.h"

namespace pyro::image {

/// Writes the ELF file that `image`, a bzImage, holds compressed to `file`, which is empty and open
/// for writing. A machine loads it as it is; a bzImage it would have to unpack first, which takes
/// seconds where it is emulated. Returns its size.
/// @throws Error(integrity) for another content, a compression other than LZ4, zstd, gzip, xz and
/// bzip2, and above `max_size`; (filesystem)
[[nodiscard]] std::uint64_t unpack_kernel(std::span<const std::byte> image, int file,
                                          std::uint64_t max_size, OutputRing& ring);

}  // namespace pyro::image
