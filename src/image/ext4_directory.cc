// The blocks of an ext4 directory.
#include "image/ext4_directory.h"

#include <cstring>

namespace pyro::image::ext4 {

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

}  // namespace pyro::image::ext4
