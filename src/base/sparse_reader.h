// Reads a file without reading its holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>

#include "base/fs_verity.h"

namespace pyro {

/// What a file holds, in order. Pieces begin at block boundaries, of FsVerity::kBlockSize, and end
/// there but for the file's last.
struct SparseSink {
  std::function<void(std::span<const std::byte> bytes)> data;
  std::function<void(std::uint64_t size)> hole;
};

/// How many blocks a hole of that size is.
[[nodiscard]] constexpr std::uint64_t blocks_in(std::uint64_t hole) noexcept {
  return (hole + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize;
}

/// The first `size` bytes of `file`; only what the file system says is data is read.
/// @throws Error(filesystem) when it cannot be read or has become shorter; (interrupted)
void read_sparse(int file, std::uint64_t size, const std::string& subject,
                 const std::stop_token& stop, const SparseSink& sink);

}  // namespace pyro
