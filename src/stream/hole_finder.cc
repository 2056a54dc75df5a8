// Finds the holes of a file.
#include "stream/hole_finder.h"

#include <isa-l/mem_routines.h>

#include <algorithm>

#include "pyro/error.h"

namespace pyro {
namespace {

bool is_zero(std::span<const std::byte> bytes) {
  return isal_zero_detect(const_cast<std::byte*>(bytes.data()), bytes.size()) == 0;
}

}  // namespace

void HoleFinder::feed(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) {
  if (offset < position_ || offset > size_ || bytes.size() > size_ - offset) {
    throw Error(ErrorCode::integrity, "its sparse map overlaps, runs backwards or passes its size");
  }
  skip_to(offset);
  if (position_ % kBlockSize != 0) fill_block(bytes);
  const std::size_t whole = bytes.size() - bytes.size() % kBlockSize;
  whole_blocks(bytes.first(whole), lifetime);
  const auto tail = bytes.subspan(whole);
  std::copy(tail.begin(), tail.end(), block_.begin());
  position_ += tail.size();
}

void HoleFinder::finish() {
  skip_to(size_);
  flush_block();
}

void HoleFinder::finish_here() {
  size_ = position_;
  flush_block();
}

// A gap: zeros to the end of the begun block, nothing for the blocks between, zeros to the offset
// within its block.
void HoleFinder::skip_to(std::uint64_t offset) {
  if (offset == position_) return;
  if (position_ / kBlockSize == offset / kBlockSize) {
    std::fill(block_.begin() + position_ % kBlockSize, block_.begin() + offset % kBlockSize,
              std::byte{0});
    position_ = offset;
    return;
  }
  flush_block();
  position_ = offset;
  std::fill_n(block_.begin(), offset % kBlockSize, std::byte{0});
}

void HoleFinder::fill_block(std::span<const std::byte>& bytes) {
  const std::size_t used = position_ % kBlockSize;
  const std::size_t n = std::min(bytes.size(), kBlockSize - used);
  std::copy_n(bytes.begin(), n, block_.begin() + used);
  bytes = bytes.subspan(n);
  if (used + n < kBlockSize) {
    position_ += n;
    return;
  }
  if (!is_zero(block_)) sink_.data(position_ - used, block_, Lifetime::call);
  position_ += n;
}

// The known part of the begun block: the file's last bytes, or those before a gap.
void HoleFinder::flush_block() {
  const std::size_t used = position_ % kBlockSize;
  if (used == 0) return;
  const std::uint64_t start = position_ - used;
  const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockSize, size_ - start));
  std::fill(block_.begin() + used, block_.end(), std::byte{0});
  if (!is_zero(block_)) {
    sink_.data(start, std::span(block_).first(known), Lifetime::call);
  }
}

void HoleFinder::whole_blocks(std::span<const std::byte> bytes, Lifetime lifetime) {
  std::size_t run = 0;
  std::size_t at = 0;
  for (; at < bytes.size(); at += kBlockSize) {
    if (!is_zero(bytes.subspan(at, kBlockSize))) continue;
    if (at > run) sink_.data(position_ + run, bytes.subspan(run, at - run), lifetime);
    run = at + kBlockSize;
  }
  if (at > run) sink_.data(position_ + run, bytes.subspan(run, at - run), lifetime);
  position_ += bytes.size();
}

}  // namespace pyro
