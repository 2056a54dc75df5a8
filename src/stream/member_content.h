// The content of a tar's member, whose first bytes say how to read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stream/tar_reader.h"

namespace pyro {

/// Of the member that `tar` read last. Pieces are as TarReader gives them, without a copy: only
/// when the first ones are shorter than what has to be looked at, those are put together.
class MemberContent {
 public:
  /// @throws what reading does; so do the others.
  MemberContent(TarReader& tar, std::uint64_t size);

  /// Whether it begins as gzip, zstd, xz or bzip2 do.
  [[nodiscard]] bool is_compressed() const;

  /// The next piece; nothing at the end.
  [[nodiscard]] std::optional<TarData> next();

  /// The same as one row of bytes, holes as zeros; empty at the end. Not mixed with next().
  [[nodiscard]] std::span<const std::byte> next_bytes();

 private:
  [[nodiscard]] std::span<const std::byte> zeros_up_to(std::uint64_t offset);

  TarReader& tar_;
  std::uint64_t size_;
  std::vector<std::byte> front_;  // pieces that were too short
  bool front_given_ = false;
  std::optional<TarData> ahead_;  // the one behind them
  // Of next_bytes().
  std::optional<TarData> current_;
  std::uint64_t position_ = 0;
  bool ended_ = false;
};

}  // namespace pyro
