// From plain bytes to compressed ones, where layers are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace pyro {

class Compressor {
 public:
  /// Takes what comes out; valid until it returns. Throws through.
  using Sink = std::function<void(std::span<const std::byte>)>;

  virtual ~Compressor() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// All was written.
  virtual void finish() = 0;
};

/// For a stream of `size` bytes. The same pieces in give the same bytes out: for gzip on processors
/// of one kind, as ISA-L has code for each.
[[nodiscard]] std::unique_ptr<Compressor> compress_zstd(std::uint64_t size, Compressor::Sink sink);
[[nodiscard]] std::unique_ptr<Compressor> compress_gzip(std::uint64_t size, Compressor::Sink sink);
/// Passes the bytes on as they are.
[[nodiscard]] std::unique_ptr<Compressor> compress_none(std::uint64_t size, Compressor::Sink sink);

}  // namespace pyro
