// Decompression: gzip, zstd, xz, bzip2 or none, detected by content.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "stream/output_ring.h"

namespace pyro {

/// Gives the next piece of a stream, valid until the next call; empty at its end.
using ByteSource = std::function<std::span<const std::byte>()>;

/// Whether to check checksums that cost time. They can be left where the compressed bytes as a
/// whole have a digest: zstd's would be a tenth of a pull. Cheap ones are always checked.
enum class Checksums { check, leave };

class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Returns the next piece, in the ring's memory and valid until the next call. It is empty at the
  /// end of the stream, which is reached only if the format's checks agree and only zero padding
  /// follows. `position` is where the piece goes in its file: where the format allows it, the piece
  /// ends at the end of a block of that file.
  /// @throws Error(integrity) when the bytes violate their format; whatever the source throws.
  [[nodiscard]] virtual std::span<const std::byte> next(std::size_t position) = 0;

  /// "gzip", "zstd", "xz", "bzip2", "none".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  static constexpr std::size_t kBlockSize = 4096;
  /// ISA-L copies some 64 KiB with every call; more than this falls out of the caches.
  static constexpr std::size_t kPieceSize = std::size_t{1} << 20;
};

/// A decompressor for the format that `source` begins with: its content decides, not a media
/// type. Windows above 2^27 bytes (zstd) and memory above 128 MiB (xz) are refused.
/// `ring` must outlive it.
[[nodiscard]] std::unique_ptr<Decompressor> open_decompressor(
    ByteSource source, OutputRing& ring, Checksums checksums = Checksums::check);

/// A decompressor that passes on the bytes of `source` as they are.
[[nodiscard]] std::unique_ptr<Decompressor> open_plain(ByteSource source, OutputRing& ring);

}  // namespace pyro
