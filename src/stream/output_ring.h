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

/// Decompressed data is read by the writer of its file and by the decoder, whose window it is. Both
/// read it in place, without a copy.
///
/// One thread calls acquire() and hold(), others release().
class OutputRing {
 public:
  /// The size beside the history.
  static constexpr std::size_t kRoom = std::size_t{4} << 20;

  static constexpr std::size_t kAlignment = 4096;

  OutputRing();

  /// Keeps the last `history` bytes readable from now on. Bytes acquired before are lost.
  void set_history(std::size_t history);

  /// The next `size` adjacent bytes (at most kRoom / 2), over the oldest ones but not over the
  /// history; waits while bytes there are held. They follow the last acquired ones where possible.
  /// The last `unused` of those are given back first.
  [[nodiscard]] std::span<std::byte> acquire(std::size_t size, std::size_t unused = 0);

  /// Whether `bytes` lie in it.
  [[nodiscard]] bool has(std::span<const std::byte> bytes) const noexcept {
    return bytes.data() >= memory_.get() && bytes.data() < memory_.get() + capacity_;
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
  using Memory = std::unique_ptr<std::byte[], Free>;

  [[nodiscard]] static Memory allocate(std::size_t size);
  [[nodiscard]] bool is_free(std::size_t begin, std::size_t size) const;

  std::size_t history_ = 0;
  std::size_t capacity_ = 0;
  Memory memory_;
  std::size_t head_ = 0;  // where the next byte goes

  std::mutex mutex_;
  std::condition_variable released_;
  std::list<std::span<const std::byte>> held_;
  bool abandoned_ = false;
};

}  // namespace pyro
