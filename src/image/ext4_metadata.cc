// Numbers, directories and inodes.
#include "image/ext4_metadata.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "pyro/error.h"

namespace pyro::image::ext4 {
namespace {

constexpr std::string_view kLostAndFound = "lost+found";
constexpr std::size_t kMaxShortLink = sizeof(DiskInode::block) - 1;
constexpr std::uint32_t kSectorsPerBlock = kBlockSize / 512;

/// Writes the blocks of a directory one after another. There is no hash tree: `mke2fs -d` makes
/// none, either, and lookups of 20,000 names in a directory are as fast as in one of its.
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

void DirectoryWriter::add(std::uint32_t inode, std::string_view name, InodeType type) {
  const std::size_t size = (sizeof(DirectoryEntry) + name.size() + 3) & ~std::size_t{3};
  if (used_ + size > block_.size()) write_directory_block();
  const DirectoryEntry entry{.inode = inode,
                             .record_size = static_cast<std::uint16_t>(size),
                             .name_size = static_cast<std::uint8_t>(name.size()),
                             .type = directory_entry_type(type)};
  std::memcpy(&block_[used_], &entry, sizeof entry);
  std::memcpy(&block_[used_ + sizeof entry], name.data(), name.size());
  last_ = used_;
  used_ += size;
}

// The last entry takes the rest of its block.
void DirectoryWriter::write_directory_block() {
  const auto rest = static_cast<std::uint16_t>(block_.size() - last_);
  std::memcpy(&block_[last_ + offsetof(DirectoryEntry, record_size)], &rest, sizeof rest);
  blocks_.write(std::uint64_t{blocks_.allocate(1)} * kBlockSize, block_);
  block_ = {};
  used_ = 0;
}

/// Signed 32 bits, and two more above them: 1901 to 2446. Times outside become the nearest.
struct DiskTime {
  std::uint32_t seconds;
  std::uint32_t extra;
};

DiskTime disk_time(const Timestamp& time) {
  constexpr std::int64_t kMin = INT32_MIN;
  constexpr std::int64_t kMax = INT32_MAX + (std::int64_t{3} << 32);
  const std::int64_t seconds = std::clamp(time.seconds, kMin, kMax);
  const auto low = static_cast<std::int32_t>(static_cast<std::uint32_t>(seconds));
  const auto epoch = static_cast<std::uint32_t>((seconds - low) >> 32);
  constexpr std::uint32_t kMaxNanoseconds = 999'999'999;
  return {static_cast<std::uint32_t>(low),
          std::min(time.nanoseconds, kMaxNanoseconds) << 2 | epoch};
}

/// Linux has two forms of device numbers; the first is for small ones.
void set_device(DiskInode& disk, std::uint32_t major, std::uint32_t minor) {
  const bool is_small = major < 256 && minor < 256;
  const std::uint32_t number =
      is_small ? major << 8 | minor : (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
  std::memcpy(&disk.block[is_small ? 0 : 4], &number, sizeof number);
}

void set_inode_size(DiskInode& disk, std::uint64_t size) {
  disk.size = static_cast<std::uint32_t>(size);
  disk.size_high = static_cast<std::uint32_t>(size >> 32);
}

}  // namespace

Metadata::Metadata(const Tree& tree, const Contents& contents, Blocks& blocks,
                   std::uint32_t descriptor_blocks)
    : tree_(tree), contents_(contents), blocks_(blocks), descriptor_blocks_(descriptor_blocks) {}

FinishedFileSystem Metadata::write(std::uint64_t min_size) {
  number_inodes();
  write_bodies();
  plan(min_size);
  write_inodes();
  write_groups();
  return {layout_.blocks * kBlockSize, blocks_.finish(layout_.blocks)};
}

// --- numbers ---

// Breadth first: order_ is the queue, too. Files of a directory lie side by side in the table.
void Metadata::number_inodes() {
  // A file of that name would be odd, and is kept.
  const bool has_own = tree_.find(Tree::kRoot, kLostAndFound) != kNone;
  first_number_ = kFirstFreeInode + (has_own ? 0 : 1);
  numbers_.resize(tree_.inodes());
  order_.reserve(tree_.inodes());
  order_.push_back(Tree::kRoot);
  numbers_[tree_.inode_id(Tree::kRoot)] = kRootInode;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (!tree_.is_directory(order_[i])) continue;
    EntryId child = tree_.first_child(order_[i]);
    for (; child != kNone; child = tree_.next(child)) {
      std::uint32_t& number = numbers_[tree_.inode_id(child)];
      if (number != 0) continue;
      order_.push_back(child);
      number = last_number();
    }
  }
}

std::uint32_t Metadata::number_of(EntryId entry) const {
  return numbers_[tree_.inode_id(entry)];
}

std::uint32_t Metadata::last_number() const {
  return first_number_ + static_cast<std::uint32_t>(order_.size()) - 2;
}

// --- bodies: blocks of metadata that belong to an inode ---

void Metadata::write_bodies() {
  if (makes_lost_and_found()) write_lost_and_found();
  bodies_.reserve(order_.size() + 1);
  for (const EntryId entry : order_) {
    bodies_.push_back(blocks_.end());
    write_body(entry);
  }
  bodies_.push_back(blocks_.end());
}

void Metadata::write_block(std::span<const std::byte> bytes) {
  blocks_.write(std::uint64_t{blocks_.allocate(1)} * kBlockSize, bytes);
}

void Metadata::write_body(EntryId entry) {
  const Inode& inode = tree_.inode_of(entry);
  if (inode.type == InodeType::directory) write_directory(entry);
  if (inode.type == InodeType::symlink) {
    const std::string_view target = tree_.target(inode);
    if (target.size() > kMaxShortLink) write_block(std::as_bytes(std::span(target)));
  }
  if (inode.type == InodeType::file) {
    list_extents(contents_.files[inode.content]);
    for (std::uint32_t i = 0; i < extents_.leaves(); ++i) write_block(extents_.leaf(i));
  }
  const StoredXattrs xattrs = xattrs_of(entry);
  if (!xattrs.block.empty()) write_block(xattrs.block);
}

void Metadata::write_directory(EntryId directory) {
  DirectoryWriter writer(blocks_);
  writer.add(number_of(directory), ".", InodeType::directory);
  writer.add(number_of(tree_.parent(directory)), "..", InodeType::directory);
  if (directory == Tree::kRoot && makes_lost_and_found()) {
    writer.add(kFirstFreeInode, kLostAndFound, InodeType::directory);
  }
  EntryId child = tree_.first_child(directory);
  for (; child != kNone; child = tree_.next(child)) {
    writer.add(number_of(child), tree_.name(child), tree_.inode_of(child).type);
  }
  writer.finish();
}

void Metadata::write_lost_and_found() {
  lost_and_found_block_ = blocks_.end();
  DirectoryWriter writer(blocks_);
  writer.add(kFirstFreeInode, ".", InodeType::directory);
  writer.add(kRootInode, "..", InodeType::directory);
  writer.finish();
}

void Metadata::list_extents(const FileContent& file) {
  extents_.clear();
  for (std::uint32_t i = 0; i < file.runs; ++i) extents_.add(contents_.runs[file.first_run + i]);
}

StoredXattrs Metadata::xattrs_of(EntryId entry) const try {
  return store_xattrs(tree_.xattrs(tree_.inode_of(entry)));
} catch (Error& error) {
  error.add_context("cannot unpack " + in_quotes(tree_.path(entry)));
  throw;
}

// --- inodes ---

void Metadata::write_inodes() {
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const std::uint32_t number = number_of(order_[i]);
    write_inode(number, disk_inode(order_[i], bodies_[i], bodies_[i + 1]));
    if (tree_.is_directory(order_[i])) count_directory(number);
    if (i == 0 && makes_lost_and_found()) {
      write_inode(kFirstFreeInode, lost_and_found_inode());
      count_directory(kFirstFreeInode);
    }
  }
}

void Metadata::write_inode(std::uint32_t number, const DiskInode& inode) {
  const std::uint64_t table = std::uint64_t{layout_.inode_tables} * kBlockSize;
  blocks_.write(table + std::uint64_t{number - 1} * sizeof inode, bytes_of(inode));
}

void Metadata::count_directory(std::uint32_t number) {
  ++layout_.directories[(number - 1) / layout_.inodes_per_group];
}

// The body ends with the block of extended attributes, if there is one.
DiskInode Metadata::disk_inode(EntryId entry, std::uint32_t body, std::uint32_t body_end) {
  const Inode& inode = tree_.inode_of(entry);
  const DiskTime time = disk_time(inode.modified);
  DiskInode disk{.mode = static_cast<std::uint16_t>(mode_type(inode.type) | inode.permissions),
                 .uid = static_cast<std::uint16_t>(inode.uid),
                 .access_time = time.seconds,
                 .change_time = time.seconds,
                 .modification_time = time.seconds,
                 .gid = static_cast<std::uint16_t>(inode.gid),
                 .links = static_cast<std::uint16_t>(inode.names),
                 .uid_high = static_cast<std::uint16_t>(inode.uid >> 16),
                 .gid_high = static_cast<std::uint16_t>(inode.gid >> 16),
                 .change_time_extra = time.extra,
                 .modification_time_extra = time.extra,
                 .access_time_extra = time.extra,
                 .creation_time = time.seconds,
                 .creation_time_extra = time.extra};
  std::uint32_t blocks = body_end - body;
  const StoredXattrs xattrs = xattrs_of(entry);
  disk.xattrs = xattrs.in_inode;
  if (!xattrs.block.empty()) disk.xattr_block = body + --blocks;
  extents_.clear();
  bool has_extents = true;
  switch (inode.type) {
    case InodeType::directory:
      disk.links = links_of(entry);
      set_inode_size(disk, std::uint64_t{blocks} * kBlockSize);
      extents_.add({.logical = 0, .physical = body, .count = blocks});
      // The tree has no room for so many names.
      if (extents_.leaves() > 0) throw Error(ErrorCode::integrity, "a directory is too large");
      break;
    case InodeType::symlink: {
      const std::string_view target = tree_.target(inode);
      set_inode_size(disk, target.size());
      has_extents = target.size() > kMaxShortLink;
      if (has_extents) {
        extents_.add({.logical = 0, .physical = body, .count = 1});
      } else {
        std::memcpy(disk.block.data(), target.data(), target.size());
      }
      break;
    }
    case InodeType::file: {
      const FileContent& file = contents_.files[inode.content];
      set_inode_size(disk, file.size);
      list_extents(file);
      for (std::uint32_t i = 0; i < file.runs; ++i)
        blocks += contents_.runs[file.first_run + i].count;
      break;
    }
    case InodeType::character_device:
    case InodeType::block_device:
      set_device(disk, inode.device.major, inode.device.minor);
      has_extents = false;
      break;
    case InodeType::fifo:
      has_extents = false;
      break;
  }
  if (has_extents) {
    disk.flags = DiskInode::kHasExtents;
    disk.block = extents_.root(body);
  }
  disk.sectors = (blocks + (xattrs.block.empty() ? 0 : 1)) * kSectorsPerBlock;
  return disk;
}

// Above the limit, 1 stands for any number (dir_nlink).
std::uint16_t Metadata::links_of(EntryId directory) const {
  std::uint32_t links = 2;
  if (directory == Tree::kRoot && makes_lost_and_found()) ++links;
  EntryId child = tree_.first_child(directory);
  for (; child != kNone; child = tree_.next(child)) links += tree_.is_directory(child) ? 1 : 0;
  return static_cast<std::uint16_t>(links > kMaxLinks ? 1 : links);
}

DiskInode Metadata::lost_and_found_inode() {
  extents_.clear();
  extents_.add({.logical = 0, .physical = lost_and_found_block_, .count = 1});
  return {.mode = static_cast<std::uint16_t>(mode_type(InodeType::directory) | 0700),
          .size = kBlockSize,
          .links = 2,
          .sectors = kSectorsPerBlock,
          .flags = DiskInode::kHasExtents,
          .block = extents_.root(0)};
}

}  // namespace pyro::image::ext4
