// fs-verity digests against those of fsverity-utils.
#include "base/fs_verity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using Bytes = std::vector<std::byte>;

Digest digest_by_tool(const Bytes& content) {
  const testing::TempDir dir;
  const auto file = dir / "file";
  testing::write_file(file, {reinterpret_cast<const char*>(content.data()), content.size()});
  const auto result =
      testing::run_checked({.argv = {"fsverity", "digest", "--compact", file.string()}});
  return Digest::parse_hex(result.out.substr(0, 64)).value();
}

bool is_zero(std::span<const std::byte> block) {
  return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

Digest digest_by_us(std::span<const std::byte> content, bool skip_zero_blocks) {
  FsVerity verity;
  for (std::size_t at = 0; at < content.size(); at += FsVerity::kBlockSize) {
    const auto block = content.subspan(at, std::min(FsVerity::kBlockSize, content.size() - at));
    if (skip_zero_blocks && is_zero(block)) {
      verity.add_zero_blocks(1);
    } else {
      verity.add_blocks(block);
    }
  }
  return verity.finish(content.size());
}

// Data in every third block, so that zero blocks and others alternate.
Bytes content_of(std::size_t size) {
  Bytes content(size);
  for (std::size_t i = 0; i < size; ++i) {
    if (i / FsVerity::kBlockSize % 3 == 0) content[i] = static_cast<std::byte>(i * 7 + 1);
  }
  return content;
}

class FsVeritySizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(FsVeritySizes, AgreesWithFsverityUtils) {
  const Bytes content = content_of(GetParam());
  const Digest expected = digest_by_tool(content);
  EXPECT_EQ(digest_by_us(content, false).hex(), expected.hex());
  EXPECT_EQ(digest_by_us(content, true).hex(), expected.hex());
}

// Around one block, one level (128 blocks), and two (128 * 128 blocks).
INSTANTIATE_TEST_SUITE_P(Boundaries, FsVeritySizes,
                         ::testing::Values(0, 1, 4095, 4096, 4097, 127 * 4096, 128 * 4096,
                                           128 * 4096 + 1, 129 * 4096, 128 * 128 * 4096,
                                           128 * 128 * 4096 + 4096 + 17));

TEST(FsVerity, HoleEqualsAsManyZeroBlocks) {
  constexpr std::uint64_t kBlocks = 128 * 128 * 3 + 77;
  FsVerity at_once;
  at_once.add_blocks(Bytes(FsVerity::kBlockSize, std::byte{9}));
  at_once.add_zero_blocks(kBlocks);
  FsVerity one_by_one;
  one_by_one.add_blocks(Bytes(FsVerity::kBlockSize, std::byte{9}));
  for (std::uint64_t i = 0; i < kBlocks; ++i) one_by_one.add_zero_blocks(1);
  constexpr std::uint64_t kSize = (kBlocks + 1) * FsVerity::kBlockSize;
  EXPECT_EQ(at_once.finish(kSize).hex(), one_by_one.finish(kSize).hex());
}

TEST(FsVerity, StartsNewDigestAfterFinish) {
  FsVerity verity;
  verity.add_blocks(content_of(300'000));
  const Digest first = verity.finish(300'000);
  verity.add_blocks(content_of(300'000));
  EXPECT_EQ(verity.finish(300'000).hex(), first.hex());
}

}  // namespace
}  // namespace pyro
