// Tests of the numbers of a transfer.
#include "cli/transfer.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kOneMiB = 1 << 20;
constexpr TimePoint kStart{};

TEST(Transfer, MeasuresTheLastSeconds) {
  Transfer transfer("debian:12", kStart);
  transfer.expect(100 * kOneMiB);
  EXPECT_EQ(transfer.rate(), std::nullopt);
  for (int i = 0; i <= 100; ++i) {
    // Ten seconds at 1 MiB/s, after which the wire falls silent.
    transfer.receive(static_cast<std::uint64_t>(i) * kOneMiB / 10, kStart + i * 100ms);
  }
  EXPECT_NEAR(*transfer.rate(), kOneMiB, 1000);
  EXPECT_NEAR(transfer.time_left()->count(), 90, 0.1);
  EXPECT_DOUBLE_EQ(*transfer.fraction(), 0.1);
  transfer.receive(10 * kOneMiB, kStart + 20s);
  EXPECT_LT(*transfer.rate(), kOneMiB / 2);
}

TEST(Transfer, KnowsNothingWithoutATotal) {
  Transfer transfer("debian:12", kStart);
  transfer.receive(kOneMiB, kStart);
  transfer.receive(2 * kOneMiB, kStart + 1s);
  EXPECT_NEAR(*transfer.rate(), kOneMiB, 1);
  EXPECT_EQ(transfer.fraction(), std::nullopt);
  EXPECT_EQ(transfer.time_left(), std::nullopt);
}

TEST(Transfer, MoreThanAnnouncedIsAllThereIs) {
  Transfer transfer("debian:12", kStart);
  transfer.expect(10);
  transfer.receive(0, kStart);
  transfer.receive(20, kStart + 1s);
  EXPECT_EQ(transfer.fraction(), 1);
  EXPECT_EQ(transfer.time_left()->count(), 0);
  transfer.expect(0);
  EXPECT_EQ(transfer.fraction(), std::nullopt);
}

TEST(Transfer, Summary) {
  Transfer transfer("debian:12", kStart);
  EXPECT_EQ(transfer.summary(352 * kOneMiB, kStart + 2s), "352.0 MiB on disk");
  transfer.receive(350 * kOneMiB, kStart + 2s);
  EXPECT_EQ(transfer.summary(352 * kOneMiB, kStart + 2s),
            "350.0 MiB in 2 s (175.0 MiB/s), 352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kOneMiB, kStart + 2s, 40),
            "350.0 MiB in 2 s, 352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kOneMiB, kStart + 2s, 30), "352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kOneMiB, kStart + 2s, 3), "352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(0, kStart + 10ms), "350.0 MiB in 0.0 s, 0 B on disk");
}

}  // namespace
}  // namespace pyro::cli
