// Writes artifacts on a thread of its own, and hashes them on another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fs_verity.h"
#include "base/worker.h"
#include "pyro/digest.h"
#include "stream/decompress.h"
#include "stream/hole_finder.h"
#include "stream/output_ring.h"

namespace pyro {

/// A range of a file that holds data: whole blocks, or the file's last bytes.
struct DataRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// Hashes files for fs-verity behind their writer, while processors are idle.
///
/// An image is mostly data at its front and zeros behind. While the data comes, inflating, writing
/// and the network want all cores; while the zeros come, all but one are idle. So hashing runs on a
/// thread of the scheduler's idle class, which reads new data back out of the page cache: copying
/// it there costs a quarter of hashing it, and holding it in memory instead would take as much
/// memory as the thread lags behind.
///
/// On a busy host that thread may get no turn. The caller never waits for it, but hashes the rest
/// itself, including the piece that the thread has begun.
class VerityHasher {
 public:
  /// `files` are open for reading, stay the caller's, and are named by their index. For a moment
  /// after the destructor, the thread may still read from their descriptors, without effect.
  explicit VerityHasher(std::vector<int> files);
  ~VerityHasher();
  VerityHasher(const VerityHasher&) = delete;
  VerityHasher& operator=(const VerityHasher&) = delete;

  /// Begins a file, for the second time where a layer replaces it.
  void begin(std::size_t index, std::string subject);
  /// More of it was written; gaps between ranges are holes. Hashes itself when the thread is far
  /// behind.
  /// @throws Error(filesystem) when the file cannot be read; so do the other functions.
  void written(const std::vector<DataRange>& ranges);
  /// The file is complete.
  void end(std::uint64_t size);

  /// Hashes the rest. The digests of the files that were begun, by index.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  struct Piece;
  class Shared;

  void catch_up();
  void take(const std::vector<Piece>& pieces);
  void hole_up_to(std::uint64_t offset);

  std::vector<int> files_;
  std::vector<std::optional<Digest>> digests_;
  std::vector<std::byte> buffer_;
  FsVerity verity_;
  std::size_t index_ = 0;
  std::string subject_;
  std::uint64_t position_ = 0;  // end of the last range

  std::shared_ptr<Shared> shared_;  // with the thread
};

/// Writes artifacts on a thread of its own, out of the ring that they were decompressed to: nothing
/// is copied.
class ArtifactWriter final : public DataSink {
 public:
  /// `files` are open for reading and writing, stay the caller's, and are named by their index.
  explicit ArtifactWriter(std::vector<int> files);

  /// The memory to decompress to. Call pass_on() before acquiring more of it.
  [[nodiscard]] OutputRing& ring() noexcept { return rings_[0]; }
  /// The same for a compressed file within a decompressed archive. It takes no memory until then.
  [[nodiscard]] OutputRing& second_ring() noexcept { return rings_[1]; }

  /// Gives collected data to the writer's thread.
  /// Rethrows an exception of that thread, as the other functions do.
  void pass_on();

  /// Empties file `index` and begins it with `size`, which may be preliminary.
  void begin(std::size_t index, std::uint64_t size, std::string subject);
  /// Bytes with Lifetime::buffer must lie in one of the rings.
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;
  /// Ends the file begun last at `size` bytes.
  void end(std::uint64_t size);

  /// Waits until all is written and hashed. The fs-verity digests of the files that were begun, by
  /// index.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  struct Step {
    enum class Kind { begin, data, end };
    Kind kind = Kind::data;
    std::size_t index = 0;
    std::uint64_t number = 0;  // offset, or size
    std::span<const std::byte> bytes = {};
    std::vector<std::byte> owned = {};
    std::string subject = {};
  };
  /// The steps of one pass_on().
  struct Batch {
    std::vector<Step> steps;
    OutputRing* ring;
    OutputRing::Hold hold;  // on their bytes
  };
  /// The file that is being written, on the writer's thread only.
  struct Open {
    std::size_t index = 0;
    std::uint64_t size = 0;
    std::uint64_t position = 0;  // end of the last data
    std::uint64_t flushed = 0;   // end of the data that the disk and the hasher have
    std::string subject = {};
    std::vector<DataRange> written = {};  // since then
  };

  void add(Step step);
  void hold(std::span<const std::byte> bytes);

  void carry_out(const Batch& batch);
  void carry_out(const Step& step);
  void begin_file(const Step& step);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void end_file(std::uint64_t size);
  void flush_written();

  std::array<OutputRing, 2> rings_;

  // The caller's side.
  std::vector<Step> steps_;
  OutputRing* held_in_ = rings_.data();
  std::span<const std::byte> held_;  // of that ring, by steps_

  // The writer's side.
  std::vector<int> files_;
  std::vector<bool> begun_;
  Open open_;
  VerityHasher hasher_;
  Worker<Batch> worker_;  // last: it uses all the others
};

}  // namespace pyro
