// Tests of SHA-256.
#include "base/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

namespace pyro {
namespace {

TEST(Sha256Lanes, EachLaneEqualsSha256OfItsBlock) {
  if (!has_sha256_lanes()) GTEST_SKIP() << "this processor has no AVX-512";
  std::vector<std::byte> blocks(kSha256Lanes * kSha256LaneBytes);
  for (unsigned seed = 0; seed < 20; ++seed) {
    unsigned state = seed;
    for (std::byte& byte : blocks) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<std::byte>(state >> 24);
    }
    if (seed == 0) std::fill(blocks.begin(), blocks.end(), std::byte{0});
    if (seed == 1) std::fill(blocks.begin(), blocks.end(), std::byte{0xff});
    std::array<Digest::Bytes, kSha256Lanes> digests;
    sha256_lanes(blocks.data(), digests);
    for (std::size_t lane = 0; lane < kSha256Lanes; ++lane) {
      const auto block = std::span(blocks).subspan(lane * kSha256LaneBytes, kSha256LaneBytes);
      EXPECT_EQ(Digest(digests[lane]).hex(), sha256(std::span<const std::byte>(block)).hex())
          << "lane " << lane << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace pyro
