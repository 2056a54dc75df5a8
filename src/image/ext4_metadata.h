// The metadata of an ext4 file system: what stands behind the contents.
#pragma once

#include <cstdint>
#include <vector>

#include "image/ext4_blocks.h"
#include "image/ext4_extents.h"
#include "image/ext4_xattrs.h"
#include "image/file_system_writer.h"
#include "image/tree.h"

namespace pyro::image::ext4 {

/// Writes it once. An inode takes 12 bytes of memory here.
class Metadata {
 public:
  Metadata(const Tree& tree, const Contents& contents, Blocks& blocks,
           std::uint32_t descriptor_blocks);

  /// The file system has at least `min_size` bytes.
  FinishedFileSystem write(std::uint64_t min_size);

 private:
  /// Blocks and inodes in groups. The bitmaps of all groups come before all inode tables.
  struct Layout {
    std::uint64_t blocks = 0;
    std::uint32_t groups = 0;
    std::uint32_t inodes_per_group = 0;
    std::uint32_t block_bitmaps = 0;  ///< The first block of them; so are the next.
    std::uint32_t inode_bitmaps = 0;
    std::uint32_t inode_tables = 0;
    std::vector<std::uint16_t> directories = {};  ///< In each group.

    [[nodiscard]] std::uint32_t table_blocks() const {
      return inodes_per_group / (kBlockSize / sizeof(DiskInode));
    }
  };

  void number_inodes();
  [[nodiscard]] std::uint32_t number_of(EntryId entry) const;
  [[nodiscard]] std::uint32_t last_number() const;
  [[nodiscard]] bool makes_lost_and_found() const { return first_number_ > kFirstFreeInode; }

  void write_bodies();
  void write_body(EntryId entry);
  void write_directory(EntryId directory);
  void write_lost_and_found();
  void write_block(std::span<const std::byte> bytes);
  void list_extents(const FileContent& file);
  [[nodiscard]] StoredXattrs xattrs_of(EntryId entry) const;

  void plan(std::uint64_t min_size);  // in ext4_superblock.cc
  void write_inodes();
  void write_inode(std::uint32_t number, const DiskInode& inode);
  [[nodiscard]] DiskInode disk_inode(EntryId entry, std::uint32_t body, std::uint32_t body_end);
  [[nodiscard]] DiskInode lost_and_found_inode();
  void count_directory(std::uint32_t number);
  [[nodiscard]] std::uint16_t links_of(EntryId directory) const;
  void write_groups();  // in ext4_superblock.cc
  void write_inode_bitmap(std::uint32_t group);

  const Tree& tree_;
  const Contents& contents_;
  Blocks& blocks_;
  const std::uint32_t descriptor_blocks_;
  std::uint32_t first_number_ = 0;      // of an inode that is not the root or lost+found
  std::vector<EntryId> order_;          // one entry of each inode, the root first
  std::vector<std::uint32_t> numbers_;  // of inodes, by InodeId
  std::vector<std::uint32_t> bodies_;  // the first block of each in order_, and the end of the last
  std::uint32_t lost_and_found_block_ = 0;
  ExtentTree extents_;  // of the inode at hand
  Layout layout_;
};

}  // namespace pyro::image::ext4
