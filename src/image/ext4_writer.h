// Writes an ext4 file system from the front to the back.
//
//   superblock │ descriptors │ contents │ directories, long links, attributes │ bitmaps │ inodes
//
// It has no journal and no free space unless asked for: it is meant to be mounted read-only, below
// an overlay.
#pragma once

#include <cstdint>
#include <span>

#include "image/ext4_blocks.h"
#include "image/ext4_extents.h"
#include "image/file_system_writer.h"

namespace pyro::image {

/// A gap of at least kMinHole bytes in a file becomes a hole; where a file has very many holes, a
/// longer one. Shorter gaps get blocks that are not written: they take no room on the host, either.
class Ext4Writer final : public FileSystemWriter {
 public:
  static constexpr std::uint64_t kDefaultMaxSize = std::uint64_t{64} << 30;
  static constexpr std::uint64_t kMaxFileSize = std::uint64_t{64} << 30;
  static constexpr std::uint32_t kMinHole = 64U << 10;

  /// `file` is empty, open for writing, and outlives the writer. `max_size`: of the file system.
  explicit Ext4Writer(int file, std::uint64_t max_size = kDefaultMaxSize);

  [[nodiscard]] FileId begin() override;
  void data(std::uint64_t offset, std::span<const std::byte> bytes) override;
  void end(std::uint64_t size) override;
  void drop(std::span<const FileId> files) override;
  FinishedFileSystem finish(const Tree& tree, const FinishOptions& options) override;

  /// The bytes in front of the metadata so far.
  [[nodiscard]] std::uint64_t size() const {
    return std::uint64_t{blocks_.end()} * ext4::kBlockSize;
  }

 private:
  void check_content(std::uint64_t offset, std::uint64_t size) const;
  [[nodiscard]] ext4::Run& run_of(std::uint32_t logical);

  const std::uint32_t descriptor_blocks_;
  ext4::Blocks blocks_;
  ext4::Contents contents_;
  std::uint64_t position_ = 0;  // in the file that was begun last
};

}  // namespace pyro::image
