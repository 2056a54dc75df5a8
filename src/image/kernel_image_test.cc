// Kernels out of bzImages.
#include "image/kernel_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/files.h"
#include "pyro/error.h"
#include "support/artifacts.h"
#include "support/compress.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro::image {
namespace {

using testing::Compression;
using ::testing::HasSubstr;

using testing::bz_image;

constexpr std::uint64_t kLimit = 64 << 20;

/// Four bytes, the lowest first.
std::string number_text(std::uint32_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

/// What is unpacked of `image`.
std::string unpacked(const std::string& image, std::uint64_t limit = kLimit) {
  const Fd file = make_memory_file("vmlinux");
  OutputRing ring;
  const std::uint64_t size =
      unpack_kernel(std::as_bytes(std::span(image)), file.get(), limit, ring);
  std::string content(size, '\0');
  pread_all(file.get(), std::as_writable_bytes(std::span(content)), 0, "vmlinux");
  return content;
}

std::string refusal_of_kernel(const std::string& image, std::uint64_t limit = kLimit) {
  try {
    static_cast<void>(unpacked(image, limit));
    return "it was unpacked";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
}

std::string lz4_image(const std::string& blocks, std::uint32_t size) {
  return bz_image(number_text(0x184c2102) + blocks + number_text(size));
}

std::string lz4_block(const std::string& content) {
  return number_text(static_cast<std::uint32_t>(content.size())) + content;
}

TEST(KernelImage, UnpacksEveryCompression) {
  const std::string kernel =
      "\x7f"
      "ELF" +
      std::string(300'000, 'k') + "end";
  const std::string size = number_text(static_cast<std::uint32_t>(kernel.size()));
  EXPECT_EQ(unpacked(bz_image(compress(kernel, Compression::gzip))), kernel);
  for (const auto compression : {Compression::zstd, Compression::xz, Compression::bzip2}) {
    EXPECT_EQ(unpacked(bz_image(compress(kernel, compression) + size)), kernel);
  }
}

TEST(KernelImage, UnpacksWhatTheLz4ToolMakes) {
  std::string kernel =
      "\x7f"
      "ELF";
  for (int i = 0; kernel.size() < (9U << 20); ++i) kernel += std::to_string(i % 5003) + "abcabcabc";
  const testing::TempDir dir;
  testing::write_file(dir / "kernel", kernel);
  const std::string packed = (dir / "kernel.lz4").string();
  ASSERT_EQ(
      testing::run({.argv = {"lz4", "-q", "-l", (dir / "kernel").string(), packed}}).exit_code, 0);
  const auto size = static_cast<std::uint32_t>(kernel.size());
  EXPECT_TRUE(unpacked(bz_image(testing::read_file(packed) + number_text(size))) == kernel);
}

TEST(KernelImage, UnpacksLz4Sequences) {
  // Four literals, a copy of 4 + 15 + 1 bytes that reaches into itself, and the last literals.
  const std::string block(
      "\x4f"
      "abcd"
      "\x02\x00"
      "\x01"
      "\x20"
      "xy",
      11);
  EXPECT_EQ(unpacked(lz4_image(lz4_block(block), 26)),
            "abcd"
            "cdcdcdcdcdcdcdcdcdcd"
            "xy");
  const std::string literals = "\xf0" + std::string(1, '\xff') + '\x02' + std::string(272, 'l');
  EXPECT_EQ(unpacked(lz4_image(lz4_block(literals), 272)), std::string(272, 'l'));
}

TEST(KernelImage, RefusesBrokenLz4) {
  EXPECT_THAT(refusal_of_kernel(lz4_image("\x09", 0)), HasSubstr("ends too early"));
  EXPECT_THAT(refusal_of_kernel(lz4_image(number_text(9) + "x", 0)), HasSubstr("ends too early"));
  EXPECT_THAT(refusal_of_kernel(lz4_image(lz4_block("\x50"
                                                    "abcd"),
                                          4)),
              HasSubstr("ends too early"));
  EXPECT_THAT(refusal_of_kernel(lz4_image(lz4_block(std::string("\x10"
                                                                "a\x02\x00\x00",
                                                                5)),
                                          1)),
              HasSubstr("refers to nothing"));
  EXPECT_THAT(refusal_of_kernel(lz4_image(lz4_block(std::string("\x10"
                                                                "a\x00\x00\x00",
                                                                5)),
                                          1)),
              HasSubstr("refers to nothing"));
  const std::string endless = std::string(
                                  "\x1f"
                                  "a\x01\x00",
                                  4) +
                              std::string(33'000, '\xff') + '\0';
  EXPECT_THAT(refusal_of_kernel(lz4_image(lz4_block(endless + std::string(1, '\0')), 1)),
              HasSubstr("larger than 8 MiB"));
}

TEST(KernelImage, RefusesWhatIsNoImageOrEndsTooEarly) {
  EXPECT_EQ(refusal_of_kernel(""), "it is not a bzImage");
  EXPECT_EQ(refusal_of_kernel("\x7f"
                              "ELF" +
                              std::string(4096, '\0')),
            "it is not a bzImage");
  const std::string whole = bz_image(compress("kernel", Compression::gzip));
  EXPECT_EQ(refusal_of_kernel(whole.substr(0, whole.size() - 1)), "it ends too early");
  EXPECT_EQ(refusal_of_kernel(bz_image("x")), "it ends too early");
}

TEST(KernelImage, RefusesOtherSizeAndMoreThanTheLimit) {
  const std::string packed = compress("a kernel", Compression::zstd);
  EXPECT_EQ(refusal_of_kernel(bz_image(packed + number_text(9))),
            "it unpacks to another size than it says");
  EXPECT_EQ(refusal_of_kernel(bz_image(packed + number_text(8)), 7),
            "it unpacks to more than 0 MiB");
}

TEST(KernelImage, RefusesUnknownCompression) {
  EXPECT_EQ(refusal_of_kernel(bz_image("LZO and LZMA" + number_text(0))),
            "it is compressed in a way that is not known");
}

}  // namespace
}  // namespace pyro::image
