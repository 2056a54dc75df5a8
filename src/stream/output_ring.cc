// The memory that decompressors write to and that files are written from.
#include "stream/output_ring.h"

#include <algorithm>

namespace pyro {

// Not zeroed: untouched pages take no memory.
OutputRing::OutputRing()
    : memory_(static_cast<std::byte*>(::operator new[](kSize, std::align_val_t{kAlignment}))) {}

// Returns to the front as soon as it is free: the less memory is in use, the more of it is in the
// caches.
std::span<std::byte> OutputRing::acquire(std::size_t size) {
  std::unique_lock lock(mutex_);
  if (head_ + size > kSize || is_free(0, size)) head_ = 0;
  released_.wait(lock, [&] { return abandoned_ || is_free(head_, size); });
  const std::span<std::byte> acquired(memory_.get() + head_, size);
  head_ += size;
  return acquired;
}

OutputRing::Hold OutputRing::hold(std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  return held_.insert(held_.end(), bytes);
}

void OutputRing::release(Hold hold) {
  const std::lock_guard lock(mutex_);
  held_.erase(hold);
  released_.notify_one();
}

void OutputRing::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  released_.notify_one();
}

bool OutputRing::is_free(std::size_t begin, std::size_t size) const {
  const std::byte* const first = memory_.get() + begin;
  const std::byte* const end = first + size;
  return std::ranges::none_of(held_, [&](std::span<const std::byte> held) {
    return held.data() < end && held.data() + held.size() > first;
  });
}

}  // namespace pyro
