// Writes artifacts on a thread of its own, and has them hashed.
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
#include "stream/hole_finder.h"
#include "stream/output_ring.h"
#include "stream/verity_hasher.h"
#include "stream/zstd_checksum.h"

namespace pyro {

/// What is decompressed into its ring is written from there: nothing is copied.
class ArtifactWriter final : public DataSink {
 public:
  /// `files` are open for reading and writing, stay the caller's, and are named by their index.
  explicit ArtifactWriter(std::vector<int> files);

  /// Where to decompress to. Before more is acquired in it, pass_on() what was handed on of it.
  [[nodiscard]] OutputRing& ring() noexcept { return rings_[0]; }
  /// The same for what is compressed within what was decompressed. It takes no memory until then.
  [[nodiscard]] OutputRing& second_ring() noexcept { return rings_[1]; }

  /// Computed by a thread that is there from the beginning: a process that is shut in starts no
  /// other.
  [[nodiscard]] ZstdChecksum& checksum() noexcept { return checksum_; }
  [[nodiscard]] ZstdChecksum& second_checksum() noexcept { return second_checksum_; }

  /// Has all that was handed on written.
  /// @throws what went wrong on the writer's thread; so do the others.
  void pass_on();

  /// Begins file `index`, which gets `size` bytes, as far as is known, over whatever it held.
  void begin(std::size_t index, std::uint64_t size, std::string subject);
  /// What has the lifetime of a buffer must lie in one of the rings.
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;
  /// Ends the file begun last, which has `size` bytes.
  void end(std::uint64_t size);

  /// Waits until all is written and hashed; the fs-verity digests of the files that were, by index.
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
  /// What was handed on at one time.
  struct Batch {
    std::vector<Step> steps;
    OutputRing* ring;
    OutputRing::Hold hold;  // what they lie in
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
  void hold(std::span<const std::byte> bytes);

  void carry_out(const Batch& batch);
  void carry_out(const Step& step);
  void begin_file(const Step& step);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void end_file(std::uint64_t size);
  void have_hashed();

  std::array<OutputRing, 2> rings_;
  ZstdChecksum checksum_{rings_[0]};
  ZstdChecksum second_checksum_{rings_[1]};

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
