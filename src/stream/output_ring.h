// The memory that decompressors write to and files are written from.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <span>

namespace pyro {

/// The writer of a file reads decompressed data in place, without a copy.
///
/// One thread calls acquire() and hold(), others release().
class OutputRing {
 public:
  static constexpr std::size_t kSize = std::size_t{4} << 20;
  static constexpr std::size_t kAlignment = 4096;

  // Not zeroed: untouched pages take no memory.
  OutputRing()
      : memory_(static_cast<std::byte*>(::operator new[](kSize, std::align_val_t{kAlignment}))) {}

  /// The next `size` adjacent bytes (at most kSize / 2), over the oldest ones; waits while bytes
  /// there are held.
  [[nodiscard]] std::span<std::byte> acquire(std::size_t size) {
    std::unique_lock lock(mutex_);
    // Returns to the front as soon as it is free: the less memory is in use, the more of it is in
    // the caches.
    if (head_ + size > kSize || is_free(0, size)) head_ = 0;
    released_.wait(lock, [&] { return abandoned_ || is_free(head_, size); });
    const std::span<std::byte> acquired(memory_.get() + head_, size);
    head_ += size;
    return acquired;
  }

  /// Whether `bytes` lie in it.
  [[nodiscard]] bool has(std::span<const std::byte> bytes) const noexcept {
    return bytes.data() >= memory_.get() && bytes.data() < memory_.get() + kSize;
  }

  using Hold = std::list<std::span<const std::byte>>::const_iterator;

  /// Keeps acquired `bytes` unchanged until release().
  [[nodiscard]] Hold hold(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    return held_.insert(held_.end(), bytes);
  }
  void release(Hold hold) {
    const std::lock_guard lock(mutex_);
    held_.erase(hold);
    released_.notify_one();
  }
  /// Ignores all holds from now on: acquire() never waits again.
  void abandon() {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    released_.notify_one();
  }

 private:
  /// Aligned to pages: copies between addresses that differ slightly modulo a page are slow.
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete[](memory, std::align_val_t{kAlignment});
    }
  };
  [[nodiscard]] bool is_free(std::size_t begin, std::size_t size) const {
    const std::byte* const first = memory_.get() + begin;
    const std::byte* const end = first + size;
    return std::ranges::none_of(held_, [&](std::span<const std::byte> held) {
      return held.data() < end && held.data() + held.size() > first;
    });
  }

  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t head_ = 0;  // where the next byte goes

  std::mutex mutex_;
  std::condition_variable released_;
  std::list<std::span<const std::byte>> held_;
  bool abandoned_ = false;
};

}  // namespace pyro
