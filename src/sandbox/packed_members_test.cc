// Artifacts that are compressed themselves, within archives.
#include <gtest/gtest.h>

#include <string>

#include "support/compress.h"
#include "support/extraction_bench.h"
#include "support/tar_builder.h"

namespace pyro {
namespace {

using testing::Compression;
using testing::SparseFormat;
using testing::TarBuilder;

class CompressedMember : public ::testing::TestWithParam<Compression> {};

std::string with_blocks_of_zeros() {
  std::string content(300'000, '\0');
  for (std::size_t i = 0; i < content.size(); i += 9000) content.replace(i, 6, "block!");
  return content;
}

TEST_P(CompressedMember, IsDecompressedByContentNotByName) {
  const std::string content = with_blocks_of_zeros();
  const std::string packed = testing::compress(content, GetParam());
  for (const std::string& name : {"rootfs.ext4" + testing::file_suffix(GetParam()),
                                  std::string("rootfs.ext4"), std::string("rootfs.ext4.gz")}) {
    const auto artifacts = extract({TarBuilder()
                                        .file("vmlinux", "kernel")
                                        .file(name, packed)
                                        .file("initrd.img", "initrd")
                                        .finish()});
    EXPECT_TRUE(artifacts.at("rootfs.ext4") == content) << name;
    EXPECT_EQ(artifacts.at("vmlinux"), "kernel");
    EXPECT_EQ(artifacts.at("initrd.img"), "initrd");
  }
}

TEST_P(CompressedMember, IsExtractedFromCompressedTar) {
  const std::string content = with_blocks_of_zeros();
  const std::string tar = TarBuilder()
                              .file("rootfs.ext4.x", "")
                              .file("rootfs.ext4", testing::compress(content, GetParam()))
                              .file("vmlinux", "kernel")
                              .finish();
  for (const Compression outer : {Compression::gzip, Compression::zstd}) {
    const auto artifacts = extract({testing::compress(tar, outer)});
    EXPECT_TRUE(artifacts.at("rootfs.ext4") == content);
    EXPECT_EQ(artifacts.at("vmlinux"), "kernel");
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompressedMember,
                         ::testing::Values(Compression::none, Compression::gzip, Compression::zstd,
                                           Compression::xz, Compression::bzip2));

TEST(PackedMember, InitrdIsUnpackedOnlyIfNameEndsInGz) {
  const std::string packed = testing::compress("initrd", Compression::gzip);
  EXPECT_EQ(extract({both().file("initrd.img", packed).finish()}).at("initrd.img"), packed);
  EXPECT_EQ(extract({both().file("initrd.img.gz", packed).finish()}).at("initrd.img"), "initrd");
}

TEST(PackedMember, SparseMemberIsUnpacked) {
  const std::string packed = testing::compress("root", Compression::gzip) + std::string(9000, '\0');
  const auto artifacts = extract(
      {TarBuilder()
           .file("vmlinux", "kernel")
           .sparse(SparseFormat::pax_1_0, "rootfs.ext4.gz", testing::sparse_file(packed, 512))
           .finish()});
  EXPECT_EQ(artifacts, kBoth);
}

// Of the tests' choosing, zstd blocks end anywhere: also within a member's first bytes.
TEST(PackedMember, IsRecognizedAcrossPieceBoundaries) {
  const std::string packed = testing::compress("root", Compression::xz);
  const std::string tar =
      TarBuilder().file("vmlinux", "kernel").file("rootfs.ext4.xz", packed).finish();
  const std::size_t member = tar.find(
      "\xfd"
      "7zXZ");
  for (std::size_t cut = 0; cut < 8; ++cut) {
    std::string blocks;
    for (std::size_t at = 0; at < tar.size();) {
      const std::size_t size = at < member + cut ? member + cut - at : tar.size() - at;
      blocks += testing::zstd_block(0, size, tar.substr(at, size), at + size == tar.size());
      at += size;
    }
    EXPECT_EQ(extract({testing::zstd_frame(blocks)}), kBoth) << cut;
  }
}

}  // namespace
}  // namespace pyro
