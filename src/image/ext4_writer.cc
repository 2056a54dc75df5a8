// Contents of files; the metadata is ext4_metadata's.
#include "image/ext4_writer.h"

#include <algorithm>

#include "image/ext4_metadata.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

using ext4::Run;

/// Blocks for the descriptors of all groups that there may be.
std::uint32_t descriptor_blocks_for(std::uint64_t max_size) {
  const std::uint64_t groups =
      (ext4::blocks_for(max_size) + ext4::kBlocksPerGroup - 1) / ext4::kBlocksPerGroup;
  return static_cast<std::uint32_t>(ext4::blocks_for(groups * sizeof(ext4::GroupDescriptor)));
}

/// The shortest gap, in blocks, that becomes a hole of a file that has `holes` already. It doubles
/// every 48 holes, up to 1 GiB after 672. A file of kMaxFileSize then has at most 64 more holes;
/// with the 512 extents that its data may take, ExtentTree has room for all.
std::uint32_t min_hole(std::uint32_t holes) {
  constexpr std::uint32_t kHolesPerSize = 48;
  constexpr std::uint32_t kMaxDoublings = 14;
  return Ext4Writer::kMinHole / ext4::kBlockSize << std::min(holes / kHolesPerSize, kMaxDoublings);
}

}  // namespace

Ext4Writer::Ext4Writer(int file, std::uint64_t max_size)
    : descriptor_blocks_(descriptor_blocks_for(max_size)),
      blocks_(file, max_size, descriptor_blocks_) {}

FileId Ext4Writer::begin() {
  contents_.files.push_back(
      {.size = 0, .first_run = static_cast<std::uint32_t>(contents_.runs.size()), .runs = 0});
  position_ = 0;
  return static_cast<FileId>(contents_.files.size() - 1);
}

void Ext4Writer::check_content(std::uint64_t offset, std::uint64_t size) const {
  if (offset < position_) throw Error(ErrorCode::integrity, "the content of a file runs backwards");
  if (offset > kMaxFileSize || size > kMaxFileSize - offset) {
    throw Error(ErrorCode::integrity, "a file has more than 64 GiB");
  }
}

void Ext4Writer::data(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  check_content(offset, bytes.size());
  Run& run = run_of(static_cast<std::uint32_t>(offset / ext4::kBlockSize));
  const std::uint64_t blocks = ext4::blocks_for(offset + bytes.size()) - run.logical;
  if (blocks > run.count) {
    static_cast<void>(blocks_.allocate(blocks - run.count));
    run.count = static_cast<std::uint32_t>(blocks);
  }
  const std::uint64_t in_run = offset - std::uint64_t{run.logical} * ext4::kBlockSize;
  blocks_.write(std::uint64_t{run.physical} * ext4::kBlockSize + in_run, bytes);
  position_ = offset + bytes.size();
}

// Of the current file, whose last run ends where free blocks begin.
Run& Ext4Writer::run_of(std::uint32_t logical) {
  ext4::FileContent& file = contents_.files.back();
  if (file.runs > 0) {
    Run& last = contents_.runs.back();
    const std::uint32_t end = last.logical + last.count;
    if (logical < end || logical - end < min_hole(file.runs - 1)) return last;
  }
  ++file.runs;
  return contents_.runs.emplace_back(Run{.logical = logical, .physical = blocks_.end()});
}

void Ext4Writer::end(std::uint64_t size) {
  check_content(size, 0);
  contents_.files.back().size = size;
}

void Ext4Writer::drop(std::span<const FileId> files) {
  Run dropped;
  const auto release = [&] {
    if (dropped.count > 0) blocks_.release(dropped.physical, dropped.count);
  };
  for (const FileId id : files) {
    const ext4::FileContent& file = contents_.files[id];
    for (std::uint32_t i = 0; i < file.runs; ++i) {
      const Run& run = contents_.runs[file.first_run + i];
      // Files that came one after another are freed by one call.
      if (dropped.physical + dropped.count == run.physical) {
        dropped.count += run.count;
        continue;
      }
      release();
      dropped = run;
    }
  }
  release();
}

FinishedFileSystem Ext4Writer::finish(const Tree& tree, const FinishOptions& options) {
  return ext4::Metadata(tree, contents_, blocks_, descriptor_blocks_).write(options.min_size);
}

}  // namespace pyro::image
