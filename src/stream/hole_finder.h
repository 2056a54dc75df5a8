// Finds the blocks of a file that hold data; the rest are holes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fs_verity.h"

namespace pyro {

/// How long bytes that are handed on stay where they are.
enum class Lifetime {
  buffer,  ///< As long as the buffer they lie in: they need no copy.
  call,    ///< Until the function returns.
};

/// Takes what is to be written; offsets are multiples of the block size and rise.
class DataSink {
 public:
  virtual ~DataSink() = default;
  /// Whole blocks, or the file's last bytes.
  virtual void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) = 0;
};

/// Cuts a file's content, fed in order and in any pieces, at block boundaries of the *file*, drops
/// blocks of zeros, and hands on runs of the others. Holes cost nothing downstream.
class HoleFinder {
 public:
  static constexpr std::size_t kBlockSize = FsVerity::kBlockSize;

  HoleFinder(DataSink& sink, std::uint64_t file_size) : sink_(sink), size_(file_size) {}

  /// @throws Error(integrity) when the piece lies before the end of the last or beyond the file's.
  void feed(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime);

  /// The file ends; what was not fed is a hole.
  void finish();

  /// The file ends where it is, and not at its size.
  void finish_here();

  /// Where the next byte is expected.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

 private:
  void skip_to(std::uint64_t offset);
  void fill_block(std::span<const std::byte>& bytes);
  void whole_blocks(std::span<const std::byte> bytes, Lifetime lifetime);
  void flush_block();

  DataSink& sink_;
  std::uint64_t size_;
  std::uint64_t position_ = 0;
  // The block around position_, as far as it is known, when position_ is not at a boundary.
  std::array<std::byte, kBlockSize> block_;
};

}  // namespace pyro
