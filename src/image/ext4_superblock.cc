// Groups of blocks and inodes, and the superblock.
#include <algorithm>
#include <bit>

#include "image/ext4_metadata.h"

namespace pyro::image::ext4 {
namespace {

constexpr std::uint64_t divide_up(std::uint64_t number, std::uint64_t by) {
  return (number + by - 1) / by;
}

std::uint32_t count_zero_bits(std::span<const std::byte> bytes) {
  std::uint32_t ones = 0;
  for (const std::byte byte : bytes) {
    ones += static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned char>(byte)));
  }
  return static_cast<std::uint32_t>(8 * bytes.size()) - ones;
}

}  // namespace

// More groups take more blocks, so that their number is searched for.
void Metadata::plan(std::uint64_t min_size) {
  constexpr std::uint64_t kInodesPerBlock = kBlockSize / sizeof(DiskInode);
  constexpr std::uint64_t kBlocksPerFreeInode = 4;  // as mke2fs
  const std::uint64_t min_blocks = blocks_for(min_size);
  blocks_.check_size(min_blocks);
  const std::uint64_t used_blocks = blocks_.end();
  const std::uint64_t free_blocks = min_blocks - std::min(min_blocks, used_blocks);
  const std::uint64_t inodes = last_number() + free_blocks / kBlocksPerFreeInode;

  std::uint64_t groups =
      std::max(divide_up(used_blocks, kBlocksPerGroup), divide_up(inodes, kMaxInodesPerGroup));
  for (;; ++groups) {
    const std::uint64_t per_group =
        divide_up(divide_up(inodes, groups), kInodesPerBlock) * kInodesPerBlock;
    const std::uint64_t metadata = groups * (2 + per_group / kInodesPerBlock);
    // Many inodes may take more groups than there are blocks for; the last one needs one.
    const std::uint64_t at_least = (groups - 1) * kBlocksPerGroup + 1;
    layout_.blocks = std::max({used_blocks + metadata, min_blocks, at_least});
    layout_.inodes_per_group = static_cast<std::uint32_t>(per_group);
    if (divide_up(layout_.blocks, kBlocksPerGroup) == groups) break;
  }
  blocks_.check_size(layout_.blocks);
  layout_.groups = static_cast<std::uint32_t>(groups);
  layout_.directories.resize(groups);
  layout_.block_bitmaps = blocks_.allocate(groups * (2 + std::uint64_t{layout_.table_blocks()}));
  layout_.inode_bitmaps = layout_.block_bitmaps + layout_.groups;
  layout_.inode_tables = layout_.inode_bitmaps + layout_.groups;
}

void Metadata::write_groups() {
  const std::uint32_t used_descriptors =
      static_cast<std::uint32_t>(blocks_for(layout_.groups * sizeof(GroupDescriptor)));
  blocks_.mark_free(1 + used_descriptors, descriptor_blocks_ - used_descriptors);
  blocks_.end_bitmap(layout_.groups, layout_.blocks);
  const std::span<const std::byte> bitmap = blocks_.bitmap();
  blocks_.write(std::uint64_t{layout_.block_bitmaps} * kBlockSize, bitmap);

  Superblock super;
  std::vector<GroupDescriptor> descriptors(layout_.groups);
  for (std::uint32_t group = 0; group < layout_.groups; ++group) {
    write_inode_bitmap(group);
    const std::uint32_t first = group * layout_.inodes_per_group;
    const std::uint32_t used_inodes =
        std::min(layout_.inodes_per_group, last_number() - std::min(last_number(), first));
    descriptors[group] = {
        .block_bitmap = layout_.block_bitmaps + group,
        .inode_bitmap = layout_.inode_bitmaps + group,
        .inode_table = layout_.inode_tables + group * layout_.table_blocks(),
        .free_blocks = static_cast<std::uint16_t>(
            count_zero_bits(bitmap.subspan(std::size_t{group} * kBlockSize, kBlockSize))),
        .free_inodes = static_cast<std::uint16_t>(layout_.inodes_per_group - used_inodes),
        .directories = layout_.directories[group]};
    super.free_blocks_count += descriptors[group].free_blocks;
    super.free_inodes_count += descriptors[group].free_inodes;
  }
  blocks_.write(kBlockSize, std::as_bytes(std::span(descriptors)));

  super.inodes_count = layout_.groups * layout_.inodes_per_group;
  super.blocks_count = static_cast<std::uint32_t>(layout_.blocks);
  super.inodes_per_group = layout_.inodes_per_group;
  blocks_.write(Superblock::kOffset, bytes_of(super));
}

// Inodes are used from the first on. Bits behind those of the group count as used, as ext4 wants
// it.
void Metadata::write_inode_bitmap(std::uint32_t group) {
  std::array<std::byte, kBlockSize> bitmap = {};
  for (std::uint32_t i = 0; i < 8 * kBlockSize; ++i) {
    const bool used =
        i >= layout_.inodes_per_group || group * layout_.inodes_per_group + i < last_number();
    if (used) bitmap[i / 8] |= std::byte{static_cast<unsigned char>(1U << i % 8)};
  }
  blocks_.write(std::uint64_t{layout_.inode_bitmaps + group} * kBlockSize, bitmap);
}

}  // namespace pyro::image::ext4
