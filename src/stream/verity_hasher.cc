// Hashes artifacts for fs-verity behind their writer.
#include "stream/verity_hasher.h"

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} * 1024;
// Of orders, each of which covers at most some 8 MiB of the file: all that may wait takes less than
// 4 MiB of memory.
constexpr std::size_t kMostBehind = 256;

}  // namespace

VerityHasher::VerityHasher(std::vector<int> files)
    : files_(std::move(files)),
      digests_(files_.size()),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kReadSize)),
      worker_(kMostBehind, [this](Order& order) { carry_out(order); }) {}

void VerityHasher::begin(std::size_t index, std::string subject) {
  worker_.push({.kind = Order::Kind::begin, .index = index, .subject = std::move(subject)});
}

void VerityHasher::written(std::vector<DataRange> ranges) {
  if (worker_.full()) worker_.catch_up();
  worker_.push({.kind = Order::Kind::ranges, .ranges = std::move(ranges)});
}

void VerityHasher::end(std::uint64_t size) {
  worker_.push({.kind = Order::Kind::end, .size = size});
}

std::vector<std::optional<Digest>> VerityHasher::finish() {
  worker_.catch_up();
  return digests_;
}

void VerityHasher::carry_out(const Order& order) {
  switch (order.kind) {
    case Order::Kind::begin:
      return begin_file(order);
    case Order::Kind::ranges:
      for (const DataRange& range : order.ranges) hash(range);
      return;
    case Order::Kind::end:
      hole_up_to(order.size + FsVerity::kBlockSize - 1);
      digests_[index_] = verity_.finish(order.size);
      return;
  }
}

void VerityHasher::begin_file(const Order& order) {
  index_ = order.index;
  subject_ = order.subject;
  position_ = 0;
  verity_ = FsVerity();
}

void VerityHasher::hash(DataRange range) {
  hole_up_to(range.offset);
  while (range.size > 0) {
    const std::span bytes(buffer_.get(), std::min<std::uint64_t>(range.size, kReadSize));
    if (pread_full(files_[index_], bytes, range.offset, subject_) < bytes.size()) {
      throw Error(ErrorCode::filesystem, subject_ + " is shorter than what was written to it");
    }
    verity_.add_blocks(bytes);
    range.offset += bytes.size();
    range.size -= bytes.size();
  }
  position_ = range.offset;
}

// Positions and offsets are at block boundaries, but for the end of the file.
void VerityHasher::hole_up_to(std::uint64_t offset) {
  const std::uint64_t blocks = (position_ + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize;
  verity_.add_zero_blocks(offset / FsVerity::kBlockSize - blocks);
}

}  // namespace pyro
