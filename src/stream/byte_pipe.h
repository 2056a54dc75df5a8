// A bounded pipe of byte streams from one thread to another: whoever is full waits.
//
// The producer writes one stream after the other; the consumer reads them in the same order. The
// seam is that of an operating system's pipe, so that the consumer can be another process.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace pyro {

class BytePipe {
 public:
  static constexpr std::size_t kChunkSize = 256 * 1024;
  static constexpr std::size_t kChunks = 16;

  BytePipe();

  // --- the producer's side ---

  /// Copies `bytes` into the pipe, waiting for room. False, without waiting, once the consumer has
  /// given up.
  bool write(std::span<const std::byte> bytes);

  /// Ends the current stream; an empty one if nothing was written.
  void end_stream();

  /// No stream will follow.
  void close();

  /// Ends everything at once: the consumer's next() throws.
  void abort();

  // --- the consumer's side ---

  /// Waits for the next stream to begin; false when there is none.
  [[nodiscard]] bool next_stream();

  /// The next piece of the current stream, valid until the next call; empty at its end.
  /// @throws Error(interrupted) when the producer aborted.
  [[nodiscard]] std::span<const std::byte> next();

  /// The consumer takes no more: the producer is told at its next write.
  void give_up();

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    bool last = false;  // of its stream
  };

  Chunk& filling() { return chunks_[produced_ % kChunks]; }
  bool reserve();
  void publish();
  void release();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Chunk> chunks_;
  std::size_t produced_ = 0;  // chunks made available since the start
  std::size_t consumed_ = 0;  // chunks given back since the start
  bool holding_ = false;      // the consumer looks at chunk `consumed_`
  bool ended_ = false;        // ... which was the last of its stream
  bool closed_ = false;
  bool aborted_ = false;
  bool abandoned_ = false;
};

}  // namespace pyro
