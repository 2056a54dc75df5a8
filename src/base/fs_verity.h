// The fs-verity digest of a file, as `fsverity digest FILE` prints it.
//
// SHA-256, 4096-byte blocks, no salt. Source: Linux Documentation/filesystems/fsverity.rst, "Merkle
// tree" and "fs-verity descriptor". A tree of hashes lets a hole of any size cost a few additions:
// the hash of a zero block is known, and so is that of a tree of zero blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/hash.h"
#include "pyro/digest.h"
#include "pyro/progress.h"

namespace pyro {

/// Computes the digest while the file is written.
class FsVerity {
 public:
  static constexpr std::size_t kBlockSize = 4096;

  /// The next blocks of the file; only the last ones may end short of a block's end.
  void add_blocks(std::span<const std::byte> bytes);

  /// The same in two steps. The first one is nearly all of the work and needs no state.
  [[nodiscard]] static std::vector<Digest> hash_blocks(std::span<const std::byte> bytes);
  void add_hashes(std::span<const Digest> hashes);

  void add_zero_blocks(std::uint64_t count);

  /// A group is as many blocks as have their hashes in one block of the tree. Hashing one needs no
  /// state either, so groups can be hashed in any order.
  static constexpr std::size_t kGroupBlocks = kBlockSize / Digest::kSize;
  static constexpr std::size_t kGroupSize = kGroupBlocks * kBlockSize;

  /// The hash of a group, of the hashes of its blocks.
  [[nodiscard]] static Digest hash_group(std::span<const Digest, kGroupBlocks> blocks);
  /// The next group; only whole groups have been added.
  void add_group(const Digest& hash) { add_hash(1, hash); }

  /// The hash of zeros: of a block at level 0, of a group at level 1.
  [[nodiscard]] static const Digest& zero_hash(std::size_t level);

  /// The digest of a file of `size` bytes; all its blocks must have been added. Begins anew.
  [[nodiscard]] Digest finish(std::uint64_t size);

 private:
  static constexpr std::size_t kMaxLevel = 8;  // of 2^64 bytes

  struct Level {
    std::array<std::byte, kBlockSize> hashes;
    std::size_t used = 0;
  };

  Level& level(std::size_t index);
  void add_hash(std::size_t index, const Digest& hash);
  void add_equal_hashes(std::size_t index, std::uint64_t count);
  void close_block(std::size_t index);
  [[nodiscard]] Digest::Bytes root(std::uint64_t block_count);

  Sha256 hash_;
  std::vector<Level> levels_;
};

/// The digest of the first `size` bytes of `fd`, without reading holes. Errors name the file
/// `subject`. `operation`, which may be null, counts the bytes that were read.
/// @throws Error(filesystem) when it cannot be read or is shorter; (interrupted)
[[nodiscard]] Digest file_verity(int fd, std::uint64_t size, const std::string& subject,
                                 const std::stop_token& stop,
                                 RunningOperation* operation = nullptr);

/// Receives the content of a file, in order. Pieces begin and end at multiples of
/// FsVerity::kBlockSize; only the last one may end elsewhere.
struct SparseSink {
  std::function<void(std::span<const std::byte> bytes)> data;
  std::function<void(std::uint64_t size)> hole;
};

/// The number of blocks in a hole of that size.
[[nodiscard]] constexpr std::uint64_t blocks_in(std::uint64_t hole) noexcept {
  return (hole + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize;
}

/// Reads the first `size` bytes of `file`, without the holes that the file system reports.
/// @throws Error(filesystem) when it cannot be read or has become shorter; (interrupted)
void read_sparse(int file, std::uint64_t size, const std::string& subject,
                 const std::stop_token& stop, const SparseSink& sink);

/// Copies a file into an empty one. Holes stay holes.
/// @throws as read_sparse(), and Error(filesystem) when it cannot be written
void copy_sparse(int from, int to, const std::string& subject, const std::stop_token& stop);

}  // namespace pyro
