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
  for (std::size_t i = 0; i < OutputRing::kRoom / kSize; ++i) {
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
  const OutputRing::Hold hold = ring.hold(ring.acquire(OutputRing::kRoom / 2));
  (void)ring.hold(ring.acquire(OutputRing::kRoom / 2));
  auto next = std::async(std::launch::async, [&] { return ring.acquire(kSize).size(); });
  EXPECT_EQ(next.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  ring.release(hold);
  EXPECT_EQ(next.get(), kSize);
}

TEST(OutputRing, AcquireDoesNotBlockAfterAbandon) {
  OutputRing ring;
  for (int i = 0; i < 2; ++i) (void)ring.hold(ring.acquire(OutputRing::kRoom / 2));
  ring.abandon();
  EXPECT_EQ(ring.acquire(kSize).size(), kSize);
}

TEST(OutputRing, DoesNotOverwriteHistory) {
  constexpr std::size_t kHistory = std::size_t{1} << 20;
  OutputRing ring;
  ring.set_history(kHistory);
  std::vector<std::span<std::byte>> history;  // in the order of the stream
  for (std::size_t i = 0; i < 100; ++i) {
    const auto region = ring.acquire(kSize);
    for (std::size_t back = 0; back < std::min(history.size(), kHistory / kSize); ++back) {
      EXPECT_FALSE(overlap(region, history[history.size() - 1 - back])) << i << ", " << back;
    }
    history.push_back(region);
  }
}

TEST(OutputRing, ReusesUnusedBytesFirst) {
  OutputRing ring;
  ring.set_history(kSize);
  const auto region = ring.acquire(kSize);
  EXPECT_EQ(ring.acquire(kSize, 1000).data(), region.data() + kSize - 1000);
}

}  // namespace
}  // namespace pyro
