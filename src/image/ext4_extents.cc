// Trees of extents.
#include "image/ext4_extents.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace pyro::image::ext4 {
namespace {

template <typename Entries>
void write_extent_node(std::span<std::byte> node, std::uint16_t depth, const Entries& entries) {
  using Item = typename Entries::value_type;
  const ExtentHeader header{
      .entries = static_cast<std::uint16_t>(entries.size()),
      .max_entries = static_cast<std::uint16_t>((node.size() - sizeof header) / sizeof(Item)),
      .depth = depth};
  std::memcpy(node.data(), &header, sizeof header);
  if (entries.empty()) return;
  std::memcpy(&node[sizeof header], entries.data(), entries.size() * sizeof(Item));
}

}  // namespace

void ExtentTree::add(const Run& run) {
  for (std::uint32_t done = 0; done < run.count; done += Extent::kMaxBlocks) {
    const std::uint32_t count = std::min(run.count - done, Extent::kMaxBlocks);
    extents_.push_back({.logical = run.logical + done,
                        .count = static_cast<std::uint16_t>(count),
                        .physical = run.physical + done});
  }
  if (extents_.size() > kMaxExtents) throw std::length_error("too many extents");
}

std::uint32_t ExtentTree::leaves() const {
  if (extents_.size() <= kExtentsInInode) return 0;
  return static_cast<std::uint32_t>((extents_.size() + kExtentsInLeaf - 1) / kExtentsInLeaf);
}

std::vector<std::byte> ExtentTree::leaf(std::uint32_t index) const {
  const auto from = std::span(extents_).subspan(index * kExtentsInLeaf);
  std::vector<std::byte> block(kBlockSize);
  write_extent_node(block, 0, from.first(std::min(from.size(), kExtentsInLeaf)));
  return block;
}

decltype(DiskInode::block) ExtentTree::root(std::uint32_t first_leaf) const {
  decltype(DiskInode::block) root = {};
  if (leaves() == 0) {
    write_extent_node(std::span(root), 0, extents_);
    return root;
  }
  std::vector<ExtentIndex> indexes;
  for (std::uint32_t i = 0; i < leaves(); ++i) {
    indexes.push_back({.logical = extents_[i * kExtentsInLeaf].logical, .leaf = first_leaf + i});
  }
  write_extent_node(std::span(root), 1, indexes);
  return root;
}

}  // namespace pyro::image::ext4
