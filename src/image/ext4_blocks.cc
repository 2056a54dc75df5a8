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
constexpr std::size_t kPiece = std::size_t{256} << 10;
constexpr std::size_t kMaxQueued = 16;
// Writing back early spreads the I/O, so that the sync at the end has little left to do.
constexpr std::uint64_t kFlushStep = 8U << 20;

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
    : file_(file),
      max_blocks_(std::min<std::uint64_t>(max_size / kBlockSize, UINT32_MAX)),
      worker_(kMaxQueued, [this](Piece& piece) { write_piece(piece); }) {
  hasher_.begin(file, kSubject);
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
  worker_.drain();
  const std::uint64_t offset = std::uint64_t{first} * kBlockSize;
  const std::uint64_t size = std::uint64_t{count} * kBlockSize;
  const auto punch = [&] {
    return ::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(size));
  };
  if (uninterrupted(punch) == 0) return hasher_.freed(offset, size);
  if (errno != EOPNOTSUPP) throw system_error("cannot free blocks of the file system", errno);
  // The bytes have to be the same on every host.
  overwrite_with_zeros(file_, offset, size);
  hasher_.freed(offset, size);
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
  while (!bytes.empty()) {
    const std::uint64_t end = piece_.offset + piece_.bytes.size();
    // A gap is the rest of a file's last block.
    const bool joins = !piece_.bytes.empty() && offset >= end && offset - end < kBlockSize &&
                       offset - piece_.offset < kPiece;
    if (!joins) {
      flush();
      piece_.offset = offset;
    }
    piece_.bytes.resize(static_cast<std::size_t>(offset - piece_.offset));
    const auto next = bytes.first(std::min(bytes.size(), kPiece - piece_.bytes.size()));
    piece_.bytes.insert(piece_.bytes.end(), next.begin(), next.end());
    if (piece_.bytes.size() == kPiece) flush();
    bytes = bytes.subspan(next.size());
    offset += next.size();
  }
}

void Blocks::flush() {
  if (piece_.bytes.empty()) return;
  worker_.push(std::move(piece_));
  piece_ = {.offset = 0, .bytes = empty_buffer()};
}

std::vector<std::byte> Blocks::empty_buffer() {
  const std::lock_guard lock(mutex_);
  std::vector<std::byte> buffer;
  if (!spare_.empty()) {
    buffer = std::move(spare_.back());
    spare_.pop_back();
  }
  buffer.reserve(kPiece);
  return buffer;
}

void Blocks::write_piece(Piece& piece) {
  pwrite_all(file_, piece.bytes, piece.offset, kSubject);
  hasher_.written(piece.offset, piece.bytes.size());
  const std::uint64_t end = piece.offset + piece.bytes.size();
  if (end >= flushed_ + kFlushStep) {
    // Advice only.
    ::sync_file_range(file_, static_cast<off_t>(flushed_), static_cast<off_t>(end - flushed_),
                      SYNC_FILE_RANGE_WRITE);
    flushed_ = end;
  }
  piece.bytes.clear();
  const std::lock_guard lock(mutex_);
  spare_.push_back(std::move(piece.bytes));
}

Digest Blocks::finish(std::uint64_t blocks) {
  flush();
  worker_.drain();
  if (!set_size(file_, blocks * kBlockSize)) {
    throw system_error("cannot write the file system", errno);
  }
  return hasher_.end(blocks * kBlockSize);
}

}  // namespace pyro::image::ext4
