// Every format in, plain bytes out; every kind of damage refused.
#include "stream/decompress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "pyro/error.h"
#include "support/compress.h"

namespace pyro {
namespace {

using testing::compress;
using testing::Compression;

// Gives `data` in pieces of `piece` bytes.
ByteSource source_of(const std::string& data, std::size_t piece) {
  return [&data, piece, at = std::size_t{0}]() mutable {
    const auto bytes = std::as_bytes(std::span(data)).subspan(at);
    const auto next = bytes.first(std::min(piece, bytes.size()));
    at += next.size();
    return next;
  };
}

std::string decompress(const std::string& data, std::size_t piece = 1 << 18,
                       std::size_t buffer_size = 1 << 16) {
  const auto decompressor = open_decompressor(source_of(data, piece));
  std::string out;
  std::string buffer(buffer_size, '\0');
  while (const std::size_t n = decompressor->read(std::as_writable_bytes(std::span(buffer)))) {
    out.append(buffer, 0, n);
    if (n < buffer.size()) break;
  }
  EXPECT_EQ(decompressor->read(std::as_writable_bytes(std::span(buffer))), 0U);
  return out;
}

std::string refusal_of(const std::string& data) {
  try {
    decompress(data);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
  return "nothing was wrong";
}

std::string some_text() {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += std::to_string(i * i) + (i % 7 == 0 ? "\n" : " ");
  return text;
}

struct Format {
  Compression compression;
  std::string name;
};

class Formats : public ::testing::TestWithParam<Format> {};

TEST_P(Formats, RoundTripsInPiecesOfAnySize) {
  const std::string text = some_text();
  const std::string packed = compress(text, GetParam().compression);
  EXPECT_EQ(open_decompressor(source_of(packed, 4096))->name(), GetParam().name);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, packed.size()}) {
    EXPECT_EQ(decompress(packed, piece), text) << "in pieces of " << piece;
  }
  EXPECT_EQ(decompress(packed, 4096, 13), text) << "into small buffers";
}

TEST_P(Formats, EmptyContentIsFine) {
  EXPECT_EQ(decompress(compress("", GetParam().compression)), "");
}

class PackedFormats : public Formats {};

TEST_P(PackedFormats, TruncationAnywhereIsRefused) {
  const std::string packed = compress(some_text(), GetParam().compression);
  for (const std::size_t kept :
       {packed.size() - 1, packed.size() - 9, packed.size() / 2, std::size_t{20}, std::size_t{7}}) {
    EXPECT_NE(refusal_of(packed.substr(0, kept)).find(GetParam().name), std::string::npos)
        << "cut to " << kept;
  }
}

// zstd frames need not have a checksum: for them it is the layer's digest that tells.
class CheckedFormats : public Formats {};

TEST_P(CheckedFormats, AFlippedByteIsRefused) {
  std::string packed = compress(some_text(), GetParam().compression);
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x10);
  EXPECT_NE(refusal_of(packed).find(GetParam().name), std::string::npos);
}

TEST_P(PackedFormats, MembersFollowEachOther) {
  const std::string packed = compress("one, ", GetParam().compression) +
                             compress("two, ", GetParam().compression) +
                             compress("three", GetParam().compression);
  EXPECT_EQ(decompress(packed), "one, two, three");
  EXPECT_EQ(decompress(packed, 1), "one, two, three");
}

TEST_P(PackedFormats, ZeroPaddingAtTheEndIsFine) {
  const std::string packed = compress("text", GetParam().compression) + std::string(512, '\0');
  EXPECT_EQ(decompress(packed), "text");
  EXPECT_EQ(decompress(packed, 1), "text");
}

TEST_P(PackedFormats, GarbageAtTheEndIsRefused) {
  for (const std::string garbage : {"garbage", "<html>", "\x1f"}) {
    EXPECT_NE(refusal_of(compress("text", GetParam().compression) + garbage), "nothing was wrong")
        << garbage;
  }
}

const std::vector<Format> kPacked = {{Compression::gzip, "gzip"},
                                     {Compression::zstd, "zstd"},
                                     {Compression::xz, "xz"},
                                     {Compression::bzip2, "bzip2"}};

std::string name_of(const ::testing::TestParamInfo<Format>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Packed, Formats, ::testing::ValuesIn(kPacked), name_of);
INSTANTIATE_TEST_SUITE_P(Plain, Formats, ::testing::Values(Format{Compression::none, "none"}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Packed, PackedFormats, ::testing::ValuesIn(kPacked), name_of);
INSTANTIATE_TEST_SUITE_P(Checked, CheckedFormats,
                         ::testing::Values(kPacked[0], kPacked[2], kPacked[3]), name_of);

TEST(Decompress, ZstdSkippableFramesArePassedOver) {
  const std::string skippable = testing::zstd_skippable_frame(1000);
  EXPECT_EQ(decompress(skippable + compress("text", Compression::zstd) + skippable), "text");
}

TEST(Decompress, ZstdWindowsUpToThe27thPowerAreTaken) {
  const std::string text = some_text();
  EXPECT_EQ(decompress(testing::zstd_with_window(text, 27)), text);
  EXPECT_NE(refusal_of(testing::zstd_with_window(text, 28)).find("window"), std::string::npos);
}

TEST(Decompress, WhatTheSourceThrowsComesThrough) {
  const auto fail = []() -> std::span<const std::byte> {
    throw Error(ErrorCode::network, "the wire was cut");
  };
  EXPECT_THROW((void)open_decompressor(fail), Error);
}

}  // namespace
}  // namespace pyro
