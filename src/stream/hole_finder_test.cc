// Any way of feeding a file gives the same data blocks, and no zero block among them.
#include "stream/hole_finder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kBlock = HoleFinder::kBlockSize;

/// Puts the data where it belongs, and counts it.
class Collector final : public DataSink {
 public:
  explicit Collector(std::size_t size) : content(size, '\0') {}

  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime) override {
    EXPECT_EQ(offset % kBlock, 0U);
    EXPECT_GE(offset, end);
    EXPECT_TRUE(bytes.size() % kBlock == 0 || offset + bytes.size() == content.size());
    end = offset + bytes.size();
    written += bytes.size();
    content.replace(offset, bytes.size(), reinterpret_cast<const char*>(bytes.data()),
                    bytes.size());
  }

  std::string content;
  std::uint64_t end = 0;
  std::size_t written = 0;
};

// 'x' for a block of data, '.' for one of zeros; `tail` more bytes of data.
std::string content_of(std::string_view blocks, std::size_t tail = 0) {
  std::string content;
  for (const char block : blocks) content.append(kBlock, block == 'x' ? 'd' : '\0');
  return content.append(tail, 't');
}

void feed(HoleFinder& holes, const std::string& content, std::size_t from, std::size_t to) {
  holes.feed(from, std::as_bytes(std::span(content)).subspan(from, to - from), Lifetime::call);
}

class HoleFinderPieces : public ::testing::TestWithParam<std::size_t> {};

TEST_P(HoleFinderPieces, KeepContentAndSkipZeroBlocks) {
  for (const std::string& content :
       {content_of("x.xx..x", 100), content_of("..x...."), content_of("....", 1), content_of("x"),
        content_of("", 17), std::string(), content_of("....")}) {
    Collector collector(content.size());
    HoleFinder holes(collector, content.size());
    for (std::size_t at = 0; at < content.size(); at += GetParam()) {
      feed(holes, content, at, std::min(at + GetParam(), content.size()));
    }
    holes.finish();
    EXPECT_EQ(collector.content, content);
    const auto data_blocks =
        static_cast<std::size_t>(std::count(content.begin(), content.end(), 'd'));
    const auto tail = static_cast<std::size_t>(std::count(content.begin(), content.end(), 't'));
    EXPECT_EQ(collector.written, data_blocks + tail);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HoleFinderPieces,
                         ::testing::Values(1, 511, 512, 4095, 4096, 4097, 10'000, 1 << 20));

TEST(HoleFinder, FillsGapsWithZeros) {
  const std::string all(4 * kBlock, 'd');
  struct Gap {
    std::size_t from, to;
  };
  for (const auto [from, to] :
       {Gap{0, 10}, Gap{10, 20}, Gap{10, kBlock}, Gap{10, kBlock + 10}, Gap{kBlock, 2 * kBlock},
        Gap{100, 3 * kBlock + 5}, Gap{3 * kBlock, 4 * kBlock}, Gap{5, 4 * kBlock},
        Gap{0, 4 * kBlock}}) {
    Collector collector(all.size());
    HoleFinder holes(collector, all.size());
    feed(holes, all, 0, from);
    feed(holes, all, to, all.size());
    holes.finish();
    std::string expected = all;
    expected.replace(from, to - from, to - from, '\0');
    EXPECT_EQ(collector.content, expected) << from << " to " << to;
  }
}

TEST(HoleFinder, RejectsOverlappingAndOversizedRanges) {
  const std::string all(2 * kBlock, 'd');
  Collector collector(all.size());
  HoleFinder holes(collector, all.size());
  feed(holes, all, 0, 100);
  EXPECT_THROW(feed(holes, all, 99, 200), Error) << "overlaps";
  EXPECT_THROW(feed(holes, all, 0, 10), Error) << "runs backwards";
  const std::string more(3 * kBlock, 'd');
  EXPECT_THROW(feed(holes, more, 100, more.size()), Error) << "passes the size";
  EXPECT_THROW(feed(holes, more, more.size(), more.size()), Error) << "begins beyond the size";
}

TEST(HoleFinder, FinishHereAcceptsShorterFile) {
  const std::string content = content_of("x.", 5);
  Collector collector(content.size());
  HoleFinder holes(collector, 1U << 30);
  feed(holes, content, 0, content.size());
  holes.finish_here();
  EXPECT_EQ(collector.content, content);
  EXPECT_EQ(holes.position(), content.size());
  EXPECT_EQ(collector.written, kBlock + 5);
}

}  // namespace
}  // namespace pyro
