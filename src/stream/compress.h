// Compression of layers that are written: zstd, gzip or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace pyro {

class Compressor {
 public:
  /// Receives the output, valid until it returns. May throw.
  using Sink = std::function<void(std::span<const std::byte>)>;

  virtual ~Compressor() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Ends the stream.
  virtual void finish() = 0;
};

/// For a stream of `size` bytes. The same pieces give the same output; for gzip on processors of
/// one kind only, as ISA-L has code for each.
[[nodiscard]] std::unique_ptr<Compressor> compress_zstd(std::uint64_t size, Compressor::Sink sink);
[[nodiscard]] std::unique_ptr<Compressor> compress_gzip(std::uint64_t size, Compressor::Sink sink);
/// Passes the bytes on as they are.
[[nodiscard]] std::unique_ptr<Compressor> compress_none(std::uint64_t size, Compressor::Sink sink);

}  // namespace pyro
