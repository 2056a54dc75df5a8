// The blocks of an ext4 directory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "image/ext4_blocks.h"
#include "image/ext4_format.h"

namespace pyro::image::ext4 {

/// Writes them one after another. There is no hash tree: `mke2fs -d` makes none, either, and
/// lookups of 20,000 names in a directory are as fast as in one of its.
class DirectoryWriter {
 public:
  explicit DirectoryWriter(Blocks& blocks) : blocks_(blocks) {}

  void add(std::uint32_t inode, std::string_view name, InodeType type);
  void finish() { write_directory_block(); }

 private:
  void write_directory_block();

  Blocks& blocks_;
  std::array<std::byte, kBlockSize> block_ = {};
  std::size_t used_ = 0;
  std::size_t last_ = 0;  // the last entry
};

}  // namespace pyro::image::ext4
