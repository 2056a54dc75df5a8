// The fs-verity digest of a file, computed while it is written: what `fsverity digest FILE` prints.
//
// SHA-256, 4096-byte blocks, no salt. Source: Linux Documentation/filesystems/fsverity.rst, "Merkle
// tree" and "fs-verity descriptor". A tree of hashes lets a hole of any size cost a few additions:
// the hash of a zero block is known, and so is that of a tree over nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/sha256.h"
#include "pyro/digest.h"

namespace pyro {

class FsVerity {
 public:
  static constexpr std::size_t kBlockSize = 4096;

  /// The next blocks of the file; only the last ones may end short of a block's end.
  void add_blocks(std::span<const std::byte> bytes);

  /// The same in two steps, the first of which is nearly all of the work, and of no file.
  [[nodiscard]] static std::vector<Digest> hash_blocks(std::span<const std::byte> bytes);
  void add_hashes(std::span<const Digest> hashes);

  /// As many zero blocks.
  void add_zero_blocks(std::uint64_t count);

  /// The digest of a file of `size` bytes; all its blocks must have been added. Begins anew.
  [[nodiscard]] Digest finish(std::uint64_t size);

 private:
  struct Level {
    std::array<std::byte, kBlockSize> hashes;
    std::size_t used = 0;
  };

  Level& level(std::size_t index);
  void add_hash(std::size_t index, const Digest& hash);
  void add_equal_hashes(std::size_t index, std::uint64_t count);
  void close_block(std::size_t index);
  [[nodiscard]] const Digest& zero_hash(std::size_t index);
  [[nodiscard]] Digest::Bytes root(std::uint64_t block_count);

  Sha256 hash_;
  std::vector<Level> levels_;
  std::vector<Digest> zero_hashes_;
};

}  // namespace pyro
