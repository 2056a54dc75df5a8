// From compressed bytes to plain ones: gzip, zstd, xz, bzip2, or as they are, told by content.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace pyro {

/// Gives the next piece of a stream, valid until the next call; empty at its end.
using ByteSource = std::function<std::span<const std::byte>()>;

class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Fills `out` from the front and says how far; less than all of it only at the end of the
  /// stream, which is reached only when the format's own checks agree and the source has nothing
  /// but zero padding left.
  /// @throws Error(integrity) when the bytes are not what their format demands; whatever the
  /// source throws.
  [[nodiscard]] virtual std::size_t read(std::span<std::byte> out) = 0;

  /// "gzip", "zstd", "xz", "bzip2", "none".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
};

/// A decompressor for what `source` turns out to hold (spec section 6: content, not media type).
/// Windows above 2^27 bytes (zstd) and memory above 128 MiB (xz) are refused.
[[nodiscard]] std::unique_ptr<Decompressor> open_decompressor(ByteSource source);

}  // namespace pyro
