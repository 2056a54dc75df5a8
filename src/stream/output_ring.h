// The memory that decompressors write to and that files are written from.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <span>

namespace pyro {

/// What was decompressed last may still be wanted by two: by the writer of its file, and by the
/// decompressor, which looks back at it. Here both read it where it was put, so that it is
/// copied for neither.
///
/// One thread acquires and holds; others release.
class OutputRing {
 public:
  /// Room for what is held, beside the history.
  static constexpr std::size_t kRoom = std::size_t{4} << 20;

  static constexpr std::size_t kAlignment = 4096;

  OutputRing();

  /// Prepares for acquire() with up to this much history; what was acquired before is lost to it.
  void set_history(std::size_t history);

  /// The next `size` bytes in a row (at most kRoom / 2), overwriting the oldest: nothing that is
  /// held, for which it waits, nor the history before them. They follow the last ones that were
  /// acquired wherever that is possible. Of those the last `unused` are given back.
  [[nodiscard]] std::span<std::byte> acquire(std::size_t size, std::size_t unused = 0);

  /// Whether `bytes` lie in it.
  [[nodiscard]] bool has(std::span<const std::byte> bytes) const noexcept {
    return bytes.data() >= memory_.get() && bytes.data() < memory_.get() + capacity_;
  }

  /// What is held, by one of those who want it.
  using Hold = std::list<std::span<const std::byte>>::const_iterator;

  /// Keeps `bytes`, of what was acquired, as they are until release().
  [[nodiscard]] Hold hold(std::span<const std::byte> bytes);
  void release(Hold hold);
  /// Nothing that is held counts any more.
  void abandon();

 private:
  /// At a page's start: copies between places that differ by a few bytes modulo a page are slow.
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
