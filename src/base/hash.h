// SHA-256 and its HMAC, by OpenSSL or of many blocks at a time.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "pyro/digest.h"

namespace pyro {

/// A running hash, reusable without another allocation.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);

  /// A second hash of the bytes so far.
  [[nodiscard]] Sha256 copy() const;

  /// The digest of all bytes since the start or the last finish(); begins anew.
  [[nodiscard]] Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

[[nodiscard]] Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] Digest sha256(std::string_view text);

/// RFC 2104.
[[nodiscard]] Digest hmac_sha256(std::string_view key, std::string_view text);

// --- 16 blocks at a time (sha256_lanes.cc) ---
//
// Each step of one SHA-256 waits for the step before; the blocks of a Merkle tree are independent.
// OpenSSL has no interface for that, and the libraries that have one are ten times as large as
// pyro.

inline constexpr std::size_t kSha256Lanes = 16;
inline constexpr std::size_t kSha256LaneBytes = 4096;

/// Whether this processor has AVX-512; otherwise hash block by block.
[[nodiscard]] bool has_sha256_lanes() noexcept;

/// The digests of kSha256Lanes adjacent blocks of kSha256LaneBytes. Requires has_sha256_lanes().
void sha256_lanes(const std::byte* blocks,
                  std::array<Digest::Bytes, kSha256Lanes>& digests) noexcept;

}  // namespace pyro
