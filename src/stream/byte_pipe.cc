// A bounded pipe between two threads.
#include "stream/byte_pipe.h"

#include <algorithm>
#include <cstring>

#include "pyro/error.h"

namespace pyro {

BytePipe::BytePipe() : chunks_(kChunks) {
  // Not zeroed: a page that is never reached takes no memory.
  for (Chunk& chunk : chunks_) {
    chunk.bytes = std::make_unique_for_overwrite<std::byte[]>(kChunkSize);
  }
}

bool BytePipe::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!reserve()) return false;
    Chunk& chunk = filling();
    const std::size_t n = std::min(bytes.size(), kChunkSize - chunk.size);
    std::memcpy(chunk.bytes.get() + chunk.size, bytes.data(), n);
    chunk.size += n;
    bytes = bytes.subspan(n);
    if (chunk.size == kChunkSize) publish();
  }
  return true;
}

void BytePipe::end_stream() {
  if (!reserve()) return;
  filling().last = true;
  publish();
}

// Waits until the chunk that is being filled is the producer's to touch.
bool BytePipe::reserve() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return abandoned_ || produced_ - consumed_ < kChunks; });
  return !abandoned_;
}

void BytePipe::publish() {
  const std::lock_guard lock(mutex_);
  ++produced_;
  changed_.notify_all();
}

void BytePipe::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void BytePipe::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  closed_ = true;
  changed_.notify_all();
}

bool BytePipe::next_stream() {
  release();
  ended_ = false;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || produced_ > consumed_; });
  return !aborted_ && produced_ > consumed_;
}

std::span<const std::byte> BytePipe::next() {
  if (ended_) return {};
  release();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || produced_ > consumed_; });
  if (aborted_ || produced_ == consumed_) {
    throw Error(ErrorCode::interrupted, "the transfer was given up");
  }
  const Chunk& chunk = chunks_[consumed_ % kChunks];
  holding_ = true;
  ended_ = chunk.last;
  return {chunk.bytes.get(), chunk.size};
}

void BytePipe::release() {
  if (!holding_) return;
  holding_ = false;
  const std::lock_guard lock(mutex_);
  Chunk& chunk = chunks_[consumed_ % kChunks];
  chunk.size = 0;
  chunk.last = false;
  ++consumed_;
  changed_.notify_all();
}

void BytePipe::give_up() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

}  // namespace pyro
