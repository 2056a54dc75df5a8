// Writes artifacts on a thread of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/worker.h"
#include "pyro/digest.h"
#include "stream/decompress.h"
#include "stream/hole_finder.h"
#include "stream/output_ring.h"
#include "stream/verity_hasher.h"

namespace pyro {

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
    std::uint64_t flushed = 0;   // end of the data that the disk was told of
    std::string subject = {};
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
  std::vector<std::optional<Digest>> digests_;
  Open open_;
  VerityHasher hasher_;
  Worker<Batch> worker_;  // last: it uses all the others
};

}  // namespace pyro
