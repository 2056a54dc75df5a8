// What ext4 looks like on disk, as far as it is written here: blocks of 4 KiB, inodes of 256 bytes,
// no journal, no checksums.
//
// Source: Linux, Documentation/filesystems/ext4; fs/ext4/{ext4,ext4_extents,xattr}.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "image/tree.h"

namespace pyro::image::ext4 {

static_assert(std::endian::native == std::endian::little, "structures are written as they are");

inline constexpr std::uint32_t kBlockSize = 4096;
inline constexpr std::uint32_t kBlocksPerGroup =
    8 * kBlockSize;  // as many as a bitmap block has bits
inline constexpr std::uint32_t kMaxInodesPerGroup = 8 * kBlockSize;
inline constexpr std::uint32_t kRootInode = 2;
inline constexpr std::uint32_t kFirstFreeInode = 11;
inline constexpr std::uint32_t kMaxLinks = 65'000;

[[nodiscard]] constexpr std::uint64_t blocks_for(std::uint64_t bytes) {
  return (bytes + kBlockSize - 1) / kBlockSize;
}

template <typename Structure>
[[nodiscard]] std::span<const std::byte> bytes_of(const Structure& structure) {
  return std::as_bytes(std::span(&structure, 1));
}

struct Superblock {
  static constexpr std::uint64_t kOffset = 1024;
  static constexpr std::uint16_t kMagic = 0xef53;

  std::uint32_t inodes_count = 0;
  std::uint32_t blocks_count = 0;
  std::uint32_t reserved_blocks_count = 0;
  std::uint32_t free_blocks_count = 0;
  std::uint32_t free_inodes_count = 0;
  std::uint32_t first_data_block = 0;
  std::uint32_t log_block_size = 2;  // 1024 << 2
  std::uint32_t log_cluster_size = 2;
  std::uint32_t blocks_per_group = kBlocksPerGroup;
  std::uint32_t clusters_per_group = kBlocksPerGroup;
  std::uint32_t inodes_per_group = 0;
  std::uint32_t mount_time = 0;
  std::uint32_t write_time = 0;
  std::uint16_t mount_count = 0;
  std::uint16_t max_mount_count = 0xffff;
  std::uint16_t magic = kMagic;
  std::uint16_t state = 1;   // clean
  std::uint16_t errors = 1;  // continue
  std::uint16_t minor_revision = 0;
  std::uint32_t last_check = 0;
  std::uint32_t check_interval = 0;
  std::uint32_t creator_os = 0;  // Linux
  std::uint32_t revision = 1;
  std::uint16_t reserved_uid = 0;
  std::uint16_t reserved_gid = 0;
  std::uint32_t first_inode = kFirstFreeInode;
  std::uint16_t inode_size = 256;
  std::uint16_t block_group = 0;
  std::uint32_t compatible = 0x0008 |    // ext_attr
                             0x0200;     // sparse_super2: no copy of the superblock amid the data
  std::uint32_t incompatible = 0x0002 |  // filetype
                               0x0040 |  // extents
                               0x0200;   // flex_bg: metadata may lie in any group
  std::uint32_t read_only_compatible = 0x0002 |  // large_file
                                       0x0020 |  // dir_nlink
                                       0x0040;   // extra_isize
  // Always the same, so that equal layers give equal bytes. e2fsck wants one that is not zero.
  std::array<std::uint8_t, 16> uuid = {0x70, 0x79, 0x72, 0x6f, 0x20, 0x69, 0x8d, 0x61,
                                       0xa7, 0x65, 0x20, 0x65, 0x78, 0x74, 0x34, 0x00};
  std::array<char, 16> volume_name = {};
  std::array<char, 64> last_mounted = {};
  std::uint32_t algorithm_bitmap = 0;
  std::uint8_t preallocated_blocks = 0;
  std::uint8_t preallocated_directory_blocks = 0;
  std::uint16_t reserved_descriptor_blocks = 0;
  std::array<std::uint32_t, 12> of_journals_and_hashes = {};  // up to the mount options
  std::uint32_t default_mount_options = 0x0004 | 0x0008;      // user_xattr, acl
  std::uint32_t first_meta_group = 0;
  std::uint32_t creation_time = 0;
  std::array<std::uint32_t, 17> journal_blocks = {};
  std::array<std::uint32_t, 3> of_64_bits = {};
  std::uint16_t min_extra_inode_size = 32;
  std::uint16_t wanted_extra_inode_size = 32;
  std::array<std::uint32_t, 5> flags_and_raid = {};
  std::uint8_t log_groups_per_flex = 4;
  std::array<std::uint8_t, 651> rest = {};
};
static_assert(sizeof(Superblock) == 1024 && offsetof(Superblock, magic) == 0x38);
static_assert(offsetof(Superblock, default_mount_options) == 0x100);
static_assert(offsetof(Superblock, log_groups_per_flex) == 0x174);

struct GroupDescriptor {
  std::uint32_t block_bitmap = 0;
  std::uint32_t inode_bitmap = 0;
  std::uint32_t inode_table = 0;
  std::uint16_t free_blocks = 0;
  std::uint16_t free_inodes = 0;
  std::uint16_t directories = 0;
  std::array<std::uint16_t, 7> rest = {};
};
static_assert(sizeof(GroupDescriptor) == 32);

struct DiskInode {
  static constexpr std::uint32_t kHasExtents = 0x80000;

  std::uint16_t mode = 0;
  std::uint16_t uid = 0;
  std::uint32_t size = 0;
  std::uint32_t access_time = 0;
  std::uint32_t change_time = 0;
  std::uint32_t modification_time = 0;
  std::uint32_t deletion_time = 0;
  std::uint16_t gid = 0;
  std::uint16_t links = 0;
  std::uint32_t sectors = 0;  // of 512 bytes
  std::uint32_t flags = 0;
  std::uint32_t version = 0;
  std::array<std::byte, 60> block = {};  // an extent tree, a short link, a device number
  std::uint32_t generation = 0;
  std::uint32_t xattr_block = 0;
  std::uint32_t size_high = 0;
  std::uint32_t fragment = 0;
  std::uint16_t sectors_high = 0;
  std::uint16_t xattr_block_high = 0;
  std::uint16_t uid_high = 0;
  std::uint16_t gid_high = 0;
  std::uint16_t checksum = 0;
  std::uint16_t reserved = 0;
  std::uint16_t extra_size = 32;
  std::uint16_t checksum_high = 0;
  std::uint32_t change_time_extra = 0;
  std::uint32_t modification_time_extra = 0;
  std::uint32_t access_time_extra = 0;
  std::uint32_t creation_time = 0;
  std::uint32_t creation_time_extra = 0;
  std::uint32_t version_high = 0;
  std::uint32_t project = 0;
  std::array<std::byte, 96> xattrs = {};
};
static_assert(sizeof(DiskInode) == 256 && offsetof(DiskInode, extra_size) == 128);

struct ExtentHeader {
  std::uint16_t magic = 0xf30a;
  std::uint16_t entries = 0;
  std::uint16_t max_entries = 0;
  std::uint16_t depth = 0;
  std::uint32_t generation = 0;
};
struct ExtentIndex {
  std::uint32_t logical = 0;
  std::uint32_t leaf = 0;
  std::uint16_t leaf_high = 0;
  std::uint16_t unused = 0;
};
struct Extent {
  static constexpr std::uint32_t kMaxBlocks = 32768;

  std::uint32_t logical = 0;
  std::uint16_t count = 0;
  std::uint16_t physical_high = 0;
  std::uint32_t physical = 0;
};
static_assert(sizeof(ExtentHeader) == 12 && sizeof(ExtentIndex) == 12 && sizeof(Extent) == 12);
inline constexpr std::size_t kExtentsInInode = 4;
inline constexpr std::size_t kExtentsInLeaf = (kBlockSize - sizeof(ExtentHeader)) / sizeof(Extent);

/// The name follows, and zeros up to the length of the record.
struct DirectoryEntry {
  std::uint32_t inode = 0;
  std::uint16_t record_size = 0;
  std::uint8_t name_size = 0;
  std::uint8_t type = 0;
};
static_assert(sizeof(DirectoryEntry) == 8);

struct XattrBlockHeader {
  std::uint32_t magic = 0xea020000;
  std::uint32_t references = 1;
  std::uint32_t blocks = 1;
  std::uint32_t hash = 0;  // 0: not to be shared
  std::array<std::uint32_t, 4> rest = {};
};
inline constexpr std::uint32_t kInodeXattrMagic = 0xea020000;
/// The name follows without its prefix, padded to a multiple of 4. Values are elsewhere.
struct XattrEntry {
  std::uint8_t name_size = 0;
  std::uint8_t prefix = 0;
  std::uint16_t value_offset = 0;
  std::uint32_t value_inode = 0;
  std::uint32_t value_size = 0;
  std::uint32_t hash = 0;
};
static_assert(sizeof(XattrBlockHeader) == 32 && sizeof(XattrEntry) == 16);

[[nodiscard]] constexpr std::uint8_t directory_entry_type(InodeType type) {
  switch (type) {
    case InodeType::file:
      return 1;
    case InodeType::directory:
      return 2;
    case InodeType::character_device:
      return 3;
    case InodeType::block_device:
      return 4;
    case InodeType::fifo:
      return 5;
    case InodeType::symlink:
      return 7;
  }
  return 0;
}

[[nodiscard]] constexpr std::uint16_t mode_type(InodeType type) {
  switch (type) {
    case InodeType::fifo:
      return 0x1000;
    case InodeType::character_device:
      return 0x2000;
    case InodeType::directory:
      return 0x4000;
    case InodeType::block_device:
      return 0x6000;
    case InodeType::file:
      return 0x8000;
    case InodeType::symlink:
      return 0xa000;
  }
  return 0;
}

}  // namespace pyro::image::ext4
