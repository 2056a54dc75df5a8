// Tests of the ring of decompressed bytes: held bytes and history are not overwritten.
#include "stream/output_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <span>
#include <vector>

namespace pyro {
namespace {

constexpr std::size_t kSize = std::size_t{256} << 10;

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.data() < b.data() + b.size() && b.data() < a.data() + a.size();
}

TEST(OutputRing, ReusesBytesThatAreNotHeld) {
  OutputRing ring;
  const auto first = ring.acquire(kSize);
  EXPECT_EQ(ring.acquire(kSize).data(), first.data());
}

TEST(OutputRing, DoesNotReuseHeldBytes) {
  OutputRing ring;
  std::vector<std::span<const std::byte>> held;
  std::vector<OutputRing::Hold> holds;
  for (std::size_t i = 0; i < OutputRing::kSize / kSize; ++i) {
    const auto acquired = ring.acquire(kSize);
    for (const auto other : held) EXPECT_FALSE(overlap(acquired, other));
    holds.push_back(ring.hold(acquired));
    held.emplace_back(acquired);
  }
  ring.release(holds.front());
  EXPECT_EQ(ring.acquire(kSize).data(), held.front().data());
}

TEST(OutputRing, AcquireBlocksUntilRelease) {
  OutputRing ring;
  const OutputRing::Hold hold = ring.hold(ring.acquire(OutputRing::kSize / 2));
  (void)ring.hold(ring.acquire(OutputRing::kSize / 2));
  auto next = std::async(std::launch::async, [&] { return ring.acquire(kSize).size(); });
  EXPECT_EQ(next.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  ring.release(hold);
  EXPECT_EQ(next.get(), kSize);
}

TEST(OutputRing, AcquireDoesNotBlockAfterAbandon) {
  OutputRing ring;
  for (int i = 0; i < 2; ++i) (void)ring.hold(ring.acquire(OutputRing::kSize / 2));
  ring.abandon();
  EXPECT_EQ(ring.acquire(kSize).size(), kSize);
}

}  // namespace
}  // namespace pyro
