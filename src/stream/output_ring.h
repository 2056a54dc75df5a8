// The memory that decompressors write to and files are written from.
#pragma once

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

  OutputRing();

  /// The next `size` adjacent bytes (at most kSize / 2), over the oldest ones; waits while bytes
  /// there are held.
  [[nodiscard]] std::span<std::byte> acquire(std::size_t size);

  /// Whether `bytes` lie in it.
  [[nodiscard]] bool has(std::span<const std::byte> bytes) const noexcept {
    return bytes.data() >= memory_.get() && bytes.data() < memory_.get() + kSize;
  }

  using Hold = std::list<std::span<const std::byte>>::const_iterator;

  /// Keeps acquired `bytes` unchanged until release().
  [[nodiscard]] Hold hold(std::span<const std::byte> bytes);
  void release(Hold hold);
  /// Ignores all holds from now on: acquire() never waits again.
  void abandon();

 private:
  /// Aligned to pages: copies between addresses that differ slightly modulo a page are slow.
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete[](memory, std::align_val_t{kAlignment});
    }
  };
  [[nodiscard]] bool is_free(std::size_t begin, std::size_t size) const;

  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t head_ = 0;  // where the next byte goes

  std::mutex mutex_;
  std::condition_variable released_;
  std::list<std::span<const std::byte>> held_;
  bool abandoned_ = false;
};

}  // namespace pyro
