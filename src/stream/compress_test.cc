// Tests of compressors: decompression gives the input again, for pieces of any size.
#include "stream/compress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "pyro/error.h"
#include "stream/decompress.h"

namespace pyro {
namespace {

using Open = std::unique_ptr<Compressor>(std::uint64_t size, Compressor::Sink sink);

std::string compressed(Open* open, const std::string& content, std::size_t piece) {
  std::string out;
  const auto compressor = open(content.size(), [&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  for (std::size_t at = 0; at < content.size(); at += piece) {
    compressor->write(
        std::as_bytes(std::span(content)).subspan(at).first(std::min(piece, content.size() - at)));
  }
  compressor->finish();
  return out;
}

struct Unpacked {
  std::string name;
  std::string content;
};

Unpacked unpacked(const std::string& bytes) {
  OutputRing ring;
  bool given = false;
  const auto decompressor = open_decompressor(
      [&]() -> std::span<const std::byte> {
        return std::exchange(given, true) ? std::span<const std::byte>()
                                          : std::as_bytes(std::span(bytes));
      },
      ring);
  Unpacked result{std::string(decompressor->name()), {}};
  while (true) {
    const auto piece = decompressor->next(0);
    if (piece.empty()) return result;
    result.content.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
}

std::string content_of(std::size_t size) {
  std::string content(size, '\0');
  for (std::size_t i = 0; i < size / 3; ++i) content[i] = static_cast<char>(i * i >> 7);
  return content;
}

struct Kind {
  Open* open;
  const char* name;
};

class Compressors : public ::testing::TestWithParam<Kind> {};

TEST_P(Compressors, OutputDecompressesToInput) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, std::size_t{3'000'001}}) {
    const std::string content = content_of(size);
    const std::string at_once = compressed(GetParam().open, content, size + 1);
    EXPECT_TRUE(unpacked(at_once).content == content) << size;
    if (size == 0) continue;
    EXPECT_EQ(unpacked(at_once).name, GetParam().name);
    EXPECT_TRUE(compressed(GetParam().open, content, size + 1) == at_once);
    EXPECT_TRUE(unpacked(compressed(GetParam().open, content, size / 3 + 1)).content == content);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Compressors,
                         ::testing::Values(Kind{compress_zstd, "zstd"}, Kind{compress_gzip, "gzip"},
                                           Kind{compress_none, "none"}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ZstdCompressor, RejectsInputShorterThanAnnouncedSize) {
  const auto compressor = compress_zstd(10, [](auto) {});
  compressor->write(std::as_bytes(std::span("12345", 5)));
  EXPECT_THROW(compressor->finish(), Error);
}

}  // namespace
}  // namespace pyro
