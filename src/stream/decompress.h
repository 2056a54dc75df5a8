// From compressed bytes to plain ones: gzip, zstd, xz, bzip2, or as they are, told by content.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "stream/output_ring.h"
#include "stream/zstd_checksum.h"

namespace pyro {

/// Gives the next piece of a stream, valid until the next call; empty at its end.
using ByteSource = std::function<std::span<const std::byte>()>;

/// Whether checksums are worth their time that a format has beside its own structure. They are not
/// where the compressed bytes as a whole have a digest to match: zstd's would be a tenth of a pull.
/// Those that cost nothing are checked all the same.
enum class Checksums { check, leave };

class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// The next piece, in the ring's memory and the caller's until the next call; empty at the end of
  /// the stream, which is reached only when the format's own checks agree and the source has
  /// nothing but zero padding left. Where pieces can be cut anywhere, `misalignment` and its size
  /// add up to whole blocks of kBlockSize.
  /// @throws Error(integrity) when the bytes are not what their format demands; whatever the
  /// source throws.
  [[nodiscard]] virtual std::span<const std::byte> next(std::size_t misalignment) = 0;

  /// "gzip", "zstd", "xz", "bzip2", "none".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  static constexpr std::size_t kBlockSize = 4096;
  /// ISA-L copies some 64 KiB with every call; more than this falls out of the caches.
  static constexpr std::size_t kPieceSize = std::size_t{1} << 20;
};

/// A decompressor for what `source` turns out to hold (spec section 6: content, not media type).
/// Windows above 2^27 bytes (zstd) and memory above 128 MiB (xz) are refused.
/// `ring` must outlive it, and so must `checksum`, which is of that ring and starts no thread any
/// more; without one zstd makes its own.
[[nodiscard]] std::unique_ptr<Decompressor> open_decompressor(
    ByteSource source, OutputRing& ring, Checksums checksums = Checksums::check,
    ZstdChecksum* checksum = nullptr);

/// One that takes what `source` holds as it is, whatever that looks like.
[[nodiscard]] std::unique_ptr<Decompressor> open_plain(ByteSource source, OutputRing& ring);

}  // namespace pyro
