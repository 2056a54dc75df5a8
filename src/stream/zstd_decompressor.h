// zstd (RFC 8878), frame by frame and block by block.
#pragma once

#include <memory>

#include "stream/codec_loop.h"

namespace pyro {

/// Decodes into the ring, where later blocks look back at earlier ones: libzstd's streaming
/// functions would keep a window of their own, and copy all out of it.
[[nodiscard]] std::unique_ptr<Decompressor> open_zstd(Input input, OutputRing& ring,
                                                      Checksums checksums, ZstdChecksum* checksum);

}  // namespace pyro
