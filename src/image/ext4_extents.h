// Where the content of a file lies: runs of blocks, and the tree of extents that ext4 keeps of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "image/ext4_format.h"

namespace pyro::image::ext4 {

/// Adjacent blocks of a file that are adjacent in the file system. What lies between two runs is a
/// hole.
struct Run {
  std::uint32_t logical = 0;
  std::uint32_t physical = 0;
  std::uint32_t count = 0;
};

struct FileContent {
  std::uint64_t size = 0;
  std::uint32_t first_run = 0;
  std::uint32_t runs = 0;
};

/// By FileId.
struct Contents {
  std::deque<FileContent> files;
  std::deque<Run> runs;  ///< Those of one file are adjacent.
};

/// A tree of at most one level below the inode: enough for kMaxFileSize (ext4_writer.h).
class ExtentTree {
 public:
  static constexpr std::size_t kMaxExtents = kExtentsInInode * kExtentsInLeaf;

  void clear() { extents_.clear(); }

  /// Behind the last one. At most kMaxExtents extents of 128 MiB come of all runs.
  void add(const Run& run);

  /// The number of blocks that the leaves take.
  [[nodiscard]] std::uint32_t leaves() const;

  [[nodiscard]] std::vector<std::byte> leaf(std::uint32_t index) const;

  /// The root. The leaves are adjacent blocks from `first_leaf` on.
  [[nodiscard]] decltype(DiskInode::block) root(std::uint32_t first_leaf) const;

 private:
  std::vector<Extent> extents_;
};

}  // namespace pyro::image::ext4
