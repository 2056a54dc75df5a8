// The blocks of an ext4 file system: handed out from the front to the back, written to a
// descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "base/worker.h"
#include "image/ext4_format.h"
#include "pyro/digest.h"
#include "stream/verity_hasher.h"

namespace pyro::image::ext4 {

/// A thread of its own writes. All functions throw Error(filesystem) when that failed.
class Blocks {
 public:
  /// `file` is empty and open for writing. Block 0 and `descriptor_blocks` behind it are used.
  Blocks(int file, std::uint64_t max_size, std::uint32_t descriptor_blocks);

  /// The first of `count` adjacent blocks, which are zero: behind all others.
  /// @throws Error(integrity) above the limit
  std::uint32_t allocate(std::uint64_t count);

  /// @throws Error(integrity) unless a file system of so many blocks is within the limit
  void check_size(std::uint64_t blocks) const;

  /// Makes a range free and zero again. It is not handed out a second time.
  void release(std::uint32_t first, std::uint32_t count);

  /// The same of blocks that were never written.
  void mark_free(std::uint32_t first, std::uint32_t count);

  /// Adjacent pieces are written together. `offset` is in the file system.
  void write(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Writes the last bytes, and makes the file `blocks` long. Returns its fs-verity digest.
  [[nodiscard]] Digest finish(std::uint64_t blocks);

  /// The number of blocks from the front to the last one that was handed out.
  [[nodiscard]] std::uint32_t end() const { return end_; }

  /// A bit for each block, of whole groups.
  [[nodiscard]] std::span<const std::byte> bitmap() const { return bitmap_; }

  /// Makes the bitmap one of `groups`; blocks from `blocks` on count as used, as ext4 wants it.
  void end_bitmap(std::uint32_t groups, std::uint64_t blocks);

 private:
  /// Adjacent bytes, written by one call.
  struct Piece {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
  };

  void mark(std::uint64_t first, std::uint64_t count, bool used);
  void flush();
  [[nodiscard]] std::vector<std::byte> empty_buffer();
  void write_piece(Piece& piece);

  const int file_;
  const std::uint64_t max_blocks_;
  std::uint32_t end_ = 0;
  std::vector<std::byte> bitmap_;
  Piece piece_;

  std::mutex mutex_;
  std::vector<std::vector<std::byte>> spare_;  // memory of written pieces
  std::uint64_t flushed_ = 0;                  // what the disk was told of; the thread's alone
  VerityHasher hasher_;
  Worker<Piece> worker_;  // last: it uses the others
};

}  // namespace pyro::image::ext4
