// Holes: blocks of zeros in the content of a file are not written. Holes for what a later layer
// replaces are punched by image/ext4_blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fs_verity.h"

namespace pyro {

/// How long bytes stay valid.
enum class Lifetime {
  buffer,  ///< As long as the buffer that they lie in: no copy needed.
  call,    ///< Until the function returns.
};

/// Receives data to write; offsets are multiples of the block size and rise.
class DataSink {
 public:
  virtual ~DataSink() = default;
  /// Whole blocks, or the file's last bytes.
  virtual void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) = 0;
};

/// Cuts a file's content, fed in order and in any pieces, at block boundaries of the *file*, drops
/// blocks of zeros, and passes on runs of the others. What is dropped is a hole, as ArtifactWriter
/// sizes the file before it writes.
class HoleFinder {
 public:
  static constexpr std::size_t kBlockSize = FsVerity::kBlockSize;

  HoleFinder(DataSink& sink, std::uint64_t file_size) : sink_(sink), size_(file_size) {}

  /// @throws Error(integrity) when the piece begins before the end of the last one, or passes the
  /// file's size.
  void feed(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime);

  /// Ends the file at its size; bytes that were not fed are a hole.
  void finish();

  /// Ends the file at position().
  void finish_here();

  /// The offset of the next byte.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

 private:
  void skip_to(std::uint64_t offset);
  void fill_block(std::span<const std::byte>& bytes);
  void whole_blocks(std::span<const std::byte> bytes, Lifetime lifetime);
  void flush_block();

  DataSink& sink_;
  std::uint64_t size_;
  std::uint64_t position_ = 0;
  // The block around position_, up to there, when position_ is not at a boundary.
  std::array<std::byte, kBlockSize> block_;
};

}  // namespace pyro
