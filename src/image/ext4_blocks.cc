// Blocks of an ext4 file system.
#include "image/ext4_blocks.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "base/files.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro::image::ext4 {
namespace {

constexpr const char* kSubject = "the file system";
// Most files of an image fit into a block; a system call for each would take longer than its bytes.
constexpr std::size_t kBuffer = std::size_t{256} << 10;
constexpr std::size_t kWrittenAtOnce = std::size_t{64} << 10;

void overwrite_with_zeros(int file, std::uint64_t offset, std::uint64_t size) {
  constexpr std::array<std::byte, std::size_t{64} << 10> kZeros{};
  while (size > 0) {
    const auto n = std::min<std::uint64_t>(size, kZeros.size());
    pwrite_all(file, std::span(kZeros).first(n), offset, kSubject);
    offset += n;
    size -= n;
  }
}

}  // namespace

Blocks::Blocks(int file, std::uint64_t max_size, std::uint32_t descriptor_blocks)
    : file_(file), max_blocks_(std::min<std::uint64_t>(max_size / kBlockSize, UINT32_MAX)) {
  buffer_.reserve(kBuffer);
  static_cast<void>(allocate(1 + std::uint64_t{descriptor_blocks}));
}

void Blocks::check_size(std::uint64_t blocks) const {
  if (blocks <= max_blocks_) return;
  throw Error(ErrorCode::integrity,
              "its file system would take more than " + mib(max_blocks_ * kBlockSize),
              "raise the limit with --max-size");
}

std::uint32_t Blocks::allocate(std::uint64_t count) {
  check_size(end_ + count);
  const std::uint32_t first = end_;
  end_ += static_cast<std::uint32_t>(count);
  const std::uint64_t groups = (end_ + std::uint64_t{kBlocksPerGroup} - 1) / kBlocksPerGroup;
  bitmap_.resize(std::max<std::size_t>(bitmap_.size(), groups * kBlockSize));
  mark(first, count, true);
  return first;
}

void Blocks::release(std::uint32_t first, std::uint32_t count) {
  mark_free(first, count);
  flush();
  const std::uint64_t offset = std::uint64_t{first} * kBlockSize;
  const std::uint64_t size = std::uint64_t{count} * kBlockSize;
  const auto punch = [&] {
    return ::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(size));
  };
  if (uninterrupted(punch) == 0) return;
  if (errno != EOPNOTSUPP) throw system_error("cannot free blocks of the file system", errno);
  // The bytes have to be the same on every host.
  overwrite_with_zeros(file_, offset, size);
}

void Blocks::mark_free(std::uint32_t first, std::uint32_t count) {
  mark(first, count, false);
}

void Blocks::mark(std::uint64_t first, std::uint64_t count, bool used) {
  const std::uint64_t end = first + count;
  while (first < end) {
    std::byte& bits = bitmap_[first / 8];
    if (first % 8 == 0 && end - first >= 8) {
      bits = used ? std::byte{0xff} : std::byte{0};
      first += 8;
      continue;
    }
    const std::byte bit{static_cast<unsigned char>(1U << first % 8)};
    bits = used ? bits | bit : bits & ~bit;
    ++first;
  }
}

void Blocks::end_bitmap(std::uint32_t groups, std::uint64_t blocks) {
  bitmap_.resize(std::size_t{groups} * kBlockSize);
  mark(blocks, std::uint64_t{groups} * kBlocksPerGroup - blocks, true);
}

void Blocks::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t buffer_end = buffer_at_ + buffer_.size();
  // A gap is the rest of a file's last block.
  const bool joins = offset >= buffer_end && offset - buffer_end < kBlockSize &&
                     offset - buffer_at_ + bytes.size() <= kBuffer;
  if (buffer_.empty() || !joins) {
    flush();
    if (bytes.size() >= kWrittenAtOnce) return pwrite_all(file_, bytes, offset, kSubject);
    buffer_at_ = offset;
  }
  buffer_.resize(offset - buffer_at_);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void Blocks::flush() {
  if (!buffer_.empty()) pwrite_all(file_, buffer_, buffer_at_, kSubject);
  buffer_.clear();
}

void Blocks::finish(std::uint64_t blocks) {
  flush();
  if (!set_size(file_, blocks * kBlockSize)) {
    throw system_error("cannot write the file system", errno);
  }
}

}  // namespace pyro::image::ext4
