// Writes artifacts on a thread of its own.
#include "stream/artifact_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/files.h"

namespace pyro {
namespace {

// Writing back early spreads the I/O over the pull, so that the fsync at its end finds little left.
constexpr std::uint64_t kWriteBackStep = 8U << 20;

// Bounds the memory of orders that own their bytes, should a hostile image consist of nothing else.
constexpr std::size_t kMostOrders = 1024;

}  // namespace

ArtifactWriter::ArtifactWriter(std::vector<int> files)
    : files_(std::move(files)),
      digests_(files_.size()),
      buffers_(kBuffers),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ArtifactWriter::~ArtifactWriter() = default;

std::span<std::byte> ArtifactWriter::acquire() {
  if (acquired_ > 0) push({.kind = Order::Kind::release});
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || acquired_ - released_ < kBuffers; });
    if (failure_) std::rethrow_exception(failure_);
  }
  auto& buffer = buffers_[acquired_++ % kBuffers];
  if (!buffer) buffer = std::make_unique_for_overwrite<std::byte[]>(kBufferSize);
  return {buffer.get(), kBufferSize};
}

void ArtifactWriter::begin(std::size_t index, std::uint64_t size, std::string subject) {
  push({.kind = Order::Kind::begin, .index = index, .number = size, .subject = std::move(subject)});
}

void ArtifactWriter::data(std::uint64_t offset, std::span<const std::byte> bytes,
                          Lifetime lifetime) {
  Order order{.kind = Order::Kind::data, .number = offset, .bytes = bytes};
  if (lifetime == Lifetime::call) order.owned.assign(bytes.begin(), bytes.end());
  push(std::move(order));
}

void ArtifactWriter::end() {
  push({.kind = Order::Kind::end});
}

std::vector<std::optional<Digest>> ArtifactWriter::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failure_ || (orders_.empty() && idle_); });
  if (failure_) std::rethrow_exception(failure_);
  return digests_;
}

void ArtifactWriter::push(Order order) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failure_ || orders_.size() < kMostOrders; });
  if (failure_) std::rethrow_exception(failure_);
  orders_.push_back(std::move(order));
  changed_.notify_all();
}

void ArtifactWriter::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !orders_.empty(); })) {
    const Order order = std::move(orders_.front());
    orders_.pop_front();
    idle_ = false;
    lock.unlock();
    std::exception_ptr failure;
    try {
      carry_out(order);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    idle_ = true;
    if (order.kind == Order::Kind::release) ++released_;
    failure_ = failure;
    changed_.notify_all();
    if (failure_) return;
  }
}

void ArtifactWriter::carry_out(const Order& order) {
  switch (order.kind) {
    case Order::Kind::begin:
      return begin_file(order);
    case Order::Kind::data:
      return write(order.number, order.owned.empty() ? order.bytes : order.owned);
    case Order::Kind::end:
      return end_file();
    case Order::Kind::release:
      return;
  }
}

void ArtifactWriter::begin_file(const Order& order) {
  open_ = Open{};
  open_.index = order.index;
  open_.size = order.number;
  open_.subject = order.subject;
  // Emptied first: a file that an upper layer replaces must leave none of its data in the holes.
  if (::ftruncate(files_[order.index], 0) != 0 ||
      ::ftruncate(files_[order.index], static_cast<off_t>(order.number)) != 0) {
    throw system_error("cannot write " + open_.subject, errno);
  }
}

void ArtifactWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  hole_up_to(offset);
  pwrite_all(files_[open_.index], bytes, offset, open_.subject);
  open_.verity.add_blocks(bytes);
  open_.position = offset + bytes.size();
  if (open_.position - open_.flushed >= kWriteBackStep) begin_write_back();
}

void ArtifactWriter::end_file() {
  hole_up_to((open_.size + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize * FsVerity::kBlockSize);
  begin_write_back();
  digests_[open_.index] = open_.verity.finish(open_.size);
}

void ArtifactWriter::hole_up_to(std::uint64_t offset) {
  const std::uint64_t blocks = (open_.position + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize;
  open_.verity.add_zero_blocks(offset / FsVerity::kBlockSize - blocks);
}

void ArtifactWriter::begin_write_back() {
  // Advice: where it is not possible, the fsync before publishing does all of it.
  ::sync_file_range(files_[open_.index], static_cast<off_t>(open_.flushed),
                    static_cast<off_t>(open_.position - open_.flushed), SYNC_FILE_RANGE_WRITE);
  open_.flushed = open_.position;
}

}  // namespace pyro
