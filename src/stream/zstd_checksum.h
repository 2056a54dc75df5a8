// The checksum of a zstd frame's content, computed behind the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "stream/output_ring.h"

namespace pyro {

/// XXH64 takes a fourth of the time of decoding, and where a run of zeros is decoded nearly all of
/// it: too much for the thread that has the most to do. So another one reads what lies in the ring.
class ZstdChecksum {
 public:
  explicit ZstdChecksum(OutputRing& ring);
  ~ZstdChecksum();
  ZstdChecksum(const ZstdChecksum&) = delete;
  ZstdChecksum& operator=(const ZstdChecksum&) = delete;

  /// A frame begins.
  void begin();
  /// More of its content, in the ring's memory; held there until it is read.
  void add(std::span<const std::byte> bytes);
  /// The content ends: its checksum as the frame has it behind its last block (RFC 8878 section
  /// 3.1.1), which is the lower half of XXH64.
  [[nodiscard]] std::uint32_t finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
