// SHA-256 of 16 blocks at a time, for hash trees over blocks.
//
// One SHA-256 is a chain in which every step waits for the last; the blocks of a Merkle tree do not
// wait for each other. OpenSSL has no interface for that, and the libraries that have one are ten
// times as large as pyro.
#pragma once

#include <array>
#include <cstddef>

#include "pyro/digest.h"

namespace pyro {

inline constexpr std::size_t kSha256Lanes = 16;
inline constexpr std::size_t kSha256LaneBytes = 4096;

/// Whether this processor can; otherwise hash block by block.
[[nodiscard]] bool has_sha256_lanes() noexcept;

/// The digests of kSha256Lanes blocks of kSha256LaneBytes that lie one after the other.
/// Only where has_sha256_lanes().
void sha256_lanes(const std::byte* blocks,
                  std::array<Digest::Bytes, kSha256Lanes>& digests) noexcept;

}  // namespace pyro
