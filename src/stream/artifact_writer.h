// Writes artifacts on a thread of its own, and has them hashed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/worker.h"
#include "pyro/digest.h"
#include "stream/hole_finder.h"
#include "stream/verity_hasher.h"

namespace pyro {

/// The caller decompresses into the buffer it acquired and hands on spans of it: nothing is copied.
/// A buffer of which nothing was handed on is given out again at once, warm as it is.
class ArtifactWriter final : public DataSink {
 public:
  static constexpr std::size_t kBufferSize = 256 * 1024;
  static constexpr std::size_t kBuffers = 16;

  /// `files` are open for reading and writing, stay the caller's, and are named by their index.
  explicit ArtifactWriter(std::vector<int> files);

  /// The next free buffer; gives the last one up.
  /// @throws what went wrong on the writer's thread; so do the others.
  [[nodiscard]] std::span<std::byte> acquire();

  /// Begins file `index`, which gets `size` bytes, over whatever it held.
  void begin(std::size_t index, std::uint64_t size, std::string subject);
  /// What has the lifetime of a buffer must lie in the one acquired last.
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;
  /// Ends the file begun last.
  void end();

  /// Waits until all is written and hashed; the fs-verity digests of the files that were, by index.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  using Buffer = std::unique_ptr<std::byte[]>;
  struct Step {
    enum class Kind { begin, data, end };
    Kind kind = Kind::data;
    std::size_t index = 0;
    std::uint64_t number = 0;  // offset, or size
    std::span<const std::byte> bytes = {};
    std::vector<std::byte> owned = {};
    std::string subject = {};
  };
  /// What came out of one buffer.
  struct Batch {
    Buffer buffer;
    std::vector<Step> steps;
  };
  /// The file that is being written, on the writer's thread only.
  struct Open {
    std::size_t index = 0;
    std::uint64_t size = 0;
    std::uint64_t position = 0;  // end of the last data
    std::uint64_t flushed = 0;   // up to where it was passed on, to the disk and to the hasher
    std::string subject = {};
    std::vector<DataRange> written = {};  // since then
  };

  void add(Step step);
  void hand_over();
  [[nodiscard]] Buffer free_buffer();

  void carry_out(Batch& batch);
  void carry_out(const Step& step);
  void begin_file(const Step& step);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void end_file();
  void pass_on();

  // The caller's side.
  Buffer buffer_;
  std::vector<Step> steps_;  // of buffer_
  bool lent_ = false;        // steps of buffer_ were handed over, but not buffer_

  std::mutex mutex_;
  std::vector<Buffer> free_buffers_;

  // The writer's side.
  std::vector<int> files_;
  std::vector<bool> begun_;
  Open open_;
  VerityHasher hasher_;
  Worker<Batch> worker_;  // last: it uses all the others
};

}  // namespace pyro
