// Tests of decompression: all formats, and damaged data.
#include "stream/decompress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "pyro/error.h"
#include "stream/codec_loop.h"
#include "support/compress.h"

namespace pyro {
namespace {

using testing::compress;
using testing::Compression;
using testing::zstd_block;
using testing::zstd_frame;

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
                       Checksums checksums = Checksums::check) {
  OutputRing ring;
  const auto decompressor = open_decompressor(source_of(data, piece), ring, checksums);
  std::string out;
  for (auto next = decompressor->next(0); !next.empty(); next = decompressor->next(out.size())) {
    out.append(reinterpret_cast<const char*>(next.data()), next.size());
  }
  EXPECT_TRUE(decompressor->next(0).empty());
  return out;
}

std::string refusal_of(const std::string& data, std::size_t piece = 1 << 18) {
  try {
    decompress(data, piece);
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
  OutputRing ring;
  EXPECT_EQ(open_decompressor(source_of(packed, 4096), ring)->name(), GetParam().name);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, packed.size()}) {
    EXPECT_EQ(decompress(packed, piece), text) << "in pieces of " << piece;
  }
}

TEST_P(Formats, DecompressesEmptyContent) {
  EXPECT_EQ(decompress(compress("", GetParam().compression)), "");
}

class PackedFormats : public Formats {};

TEST_P(PackedFormats, RejectsTruncation) {
  const std::string packed = compress(some_text(), GetParam().compression);
  for (const std::size_t kept :
       {packed.size() - 1, packed.size() - 9, packed.size() / 2, std::size_t{20}, std::size_t{7}}) {
    EXPECT_NE(refusal_of(packed.substr(0, kept)).find(GetParam().name), std::string::npos)
        << "cut to " << kept;
  }
}

// zstd frames need not have a checksum (these do, made by compress()).
class CheckedFormats : public Formats {};

TEST_P(CheckedFormats, RejectsFlippedBit) {
  std::string packed = compress(some_text(), GetParam().compression);
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x10);
  EXPECT_NE(refusal_of(packed).find(GetParam().name), std::string::npos);
}

TEST_P(PackedFormats, DecompressesConcatenatedMembers) {
  const std::string packed = compress("one, ", GetParam().compression) +
                             compress("two, ", GetParam().compression) +
                             compress("three", GetParam().compression);
  EXPECT_EQ(decompress(packed), "one, two, three");
  EXPECT_EQ(decompress(packed, 1), "one, two, three");
}

TEST_P(PackedFormats, AcceptsTrailingZeros) {
  const std::string packed = compress("text", GetParam().compression) + std::string(512, '\0');
  EXPECT_EQ(decompress(packed), "text");
  EXPECT_EQ(decompress(packed, 1), "text");
}

TEST_P(PackedFormats, RejectsTrailingGarbage) {
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

TEST(Decompress, RejectsGzipWithReservedFlags) {
  for (const int flag : {0x20, 0x40, 0x80}) {
    std::string packed = compress("text", Compression::gzip);
    packed[3] = static_cast<char>(packed[3] | flag);
    EXPECT_EQ(refusal_of(packed), "gzip data is damaged: bad header") << flag;
    EXPECT_EQ(refusal_of(compress("text", Compression::gzip) + packed),
              "gzip data is damaged: bad header");
  }
}

TEST(Decompress, SkipsZstdSkippableFrames) {
  const std::string skippable = testing::zstd_skippable_frame(1000);
  EXPECT_EQ(decompress(skippable + compress("text", Compression::zstd) + skippable), "text");
}

TEST(Decompress, AcceptsZstdWindowsUpTo128MiB) {
  const std::string text = some_text();
  EXPECT_EQ(decompress(testing::zstd_with_window(text, 27)), text);
  EXPECT_NE(refusal_of(testing::zstd_with_window(text, 28)).find("window"), std::string::npos);
}

// Random enough not to fit the window, with repetitions from near and from as far as it reaches.
std::string repetitive(std::size_t size) {
  std::string text;
  std::uint32_t state = 1;
  while (text.size() < size) {
    state = state * 1664525 + 1013904223;
    const std::size_t back = (state >> 8) % (std::size_t{1} << 20);
    if (state % 3 != 0 && text.size() > back + 4096) {
      text += text.substr(text.size() - back - 4096, state % 5000);
    } else {
      for (int i = 0; i < 700; ++i) text += static_cast<char>((state = state * 22695477 + 1) >> 24);
    }
  }
  return text;
}

TEST(Decompress, DecodesZstdAcrossWrapsOfRing) {
  const std::string text = repetitive(std::size_t{24} << 20);
  for (const int log : {17, 20, 23}) {
    EXPECT_TRUE(decompress(testing::zstd_with_window(text, log)) == text) << "window 2^" << log;
  }
}

TEST(Decompress, DecodesZstdFramesOfDifferentWindows) {
  const std::string text = repetitive(std::size_t{5} << 20);
  std::string packed;
  std::string expected;
  for (const int log : {18, 23, 20, 24}) {
    packed += testing::zstd_with_window(text, log);
    expected += text;
  }
  EXPECT_TRUE(decompress(packed) == expected);
}

TEST(Decompress, DecodesRawAndRunLengthZstdBlocks) {
  std::string blocks;
  std::string expected;
  for (int i = 0; i < 40; ++i) {  // more than the ring holds
    const char run = i % 3 == 0 ? 'x' : '\0';
    blocks += zstd_block(1, 131072, std::string(1, run), false) + zstd_block(0, 3, "abc", false) +
              zstd_block(0, 0, "", false);
    expected += std::string(131072, run) + "abc";
  }
  EXPECT_TRUE(decompress(zstd_frame(blocks + zstd_block(1, 7, "y", true))) == expected + "yyyyyyy");
}

TEST(Decompress, RejectsDamagedZstdFrames) {
  const std::string one = zstd_block(0, 1, "a", true);
  EXPECT_EQ(decompress(zstd_frame(one)), "a");
  for (const std::string& damaged : {
           zstd_frame(zstd_block(3, 1, "a", true)),                     // reserved type
           zstd_frame(zstd_block(1, 131073, "a", true)),                // larger than may be
           zstd_frame(zstd_block(2, 5, "\xff\xff\xff\xff\xff", true)),  // not compressed
           zstd_frame(std::string("\x01\0", 2) + one, '\x40'),          // 257 bytes, has 1
           "\x28\xb5\x2f\xfd" + std::string("\x01\x50\x07") + one,      // dictionary 7
           zstd_frame(one, '\x08'),                                     // reserved bit
       }) {
    EXPECT_NE(refusal_of(damaged).find("zstd data is damaged"), std::string::npos)
        << ::testing::PrintToString(damaged);
  }
}

// No literals, and one sequence: three bytes from a megabyte before.
const std::string kLooksBackFar("\x00\x01\x54\x00\x14\x00\x00\x00\x10", 9);

TEST(Decompress, RejectsZstdMatchBeforeStartOfFrame) {
  const std::string far = zstd_block(2, kLooksBackFar.size(), kLooksBackFar, true);
  const std::string empty = zstd_block(0, 0, "", false);
  const std::string empty_run = zstd_block(1, 0, "x", false);
  for (const std::string& before :
       {std::string(), empty, empty_run, empty + empty_run, zstd_block(0, 3, "abc", false),
        empty + zstd_block(1, 9, "x", false)}) {
    EXPECT_NE(refusal_of(zstd_frame(before + far)).find("zstd data is damaged"), std::string::npos);
  }
  std::string megabyte;
  for (int i = 0; i < 8; ++i) megabyte += zstd_block(1, 131072, "y", false) + empty;
  EXPECT_EQ(decompress(zstd_frame(megabyte + far)), std::string((1 << 20) + 3, 'y'));
}

TEST(Decompress, ChecksZstdChecksumUnlessDisabled) {
  const std::string text = repetitive(std::size_t{3} << 20);
  std::string packed = testing::zstd_with_window(text, 20);
  packed.back() = static_cast<char>(packed.back() ^ 1);
  EXPECT_NE(refusal_of(packed).find("checksum"), std::string::npos);
  EXPECT_EQ(decompress(packed, 1 << 18, Checksums::leave).size(), text.size());
}

TEST(Decompress, PiecesEndAtBlockBoundaries) {
  const std::string text = repetitive(std::size_t{3} << 20);
  for (const Format& format : kPacked) {
    const std::string packed = compress(text, format.compression);
    OutputRing ring;
    const auto decompressor = open_decompressor(source_of(packed, 1 << 18), ring);
    std::size_t misaligned = 0;
    std::size_t end = 512;  // of the file, at the front of which a header was cut off
    for (auto piece = decompressor->next(end); !piece.empty(); piece = decompressor->next(end)) {
      end += piece.size();
      misaligned += end % Decompressor::kBlockSize == 0 ? 0 : 1;
    }
    EXPECT_LE(misaligned, 6U) << format.name;  // the last, and where zstd's ring wraps
    EXPECT_EQ(end, text.size() + 512);
  }
}

TEST(Decompress, PropagatesErrorsOfSource) {
  const auto fail = []() -> std::span<const std::byte> {
    throw Error(ErrorCode::network, "the wire was cut");
  };
  OutputRing ring;
  EXPECT_THROW((void)open_decompressor(fail, ring), Error);
}

using testing::gzip_with_fields;
using testing::GzipFields;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Decompresses two pieces: the bytes before `cut`, and the rest.
std::string unpack(std::string_view packed, std::size_t cut) {
  OutputRing ring;
  std::vector<std::string_view> pieces = {packed.substr(cut), packed.substr(0, cut)};
  const auto source = [&]() -> std::span<const std::byte> {
    while (!pieces.empty()) {
      const std::string_view piece = pieces.back();
      pieces.pop_back();
      if (!piece.empty()) return bytes_of(piece);
    }
    return {};
  };
  const auto decompressor = open_decompressor(source, ring);
  std::string text;
  for (auto next = decompressor->next(0); !next.empty(); next = decompressor->next(text.size())) {
    text.append(reinterpret_cast<const char*>(next.data()), next.size());
  }
  return text;
}

/// Each combination of the fields, as one member of a file.
std::string all_members(std::string& text) {
  std::string packed;
  for (int bits = 0; bits < 16; ++bits) {
    GzipFields fields{.checksum = (bits & 1) != 0};
    if ((bits & 2) != 0) fields.extra = bits < 8 ? std::string() : std::string(300, '\0');
    if ((bits & 4) != 0) fields.name = bits < 8 ? "" : "layer.tar";
    if ((bits & 8) != 0) fields.comment = "member " + std::to_string(bits);
    const std::string part = "text " + std::to_string(bits) + "\n";
    text += part;
    packed += gzip_with_fields(part, fields);
  }
  return packed;
}

TEST(GzipHeader, EverySplitOfMembersWithAllFieldsGivesTheSameBytes) {
  std::string text;
  const std::string packed = all_members(text);
  for (std::size_t cut = 0; cut <= packed.size(); ++cut) {
    ASSERT_EQ(unpack(packed, cut), text) << "cut at " << cut;
  }
}

TEST(GzipHeader, AcceptsNameOf1MiB) {
  const std::string packed = gzip_with_fields(
      "text", {.name = std::string(1 << 20, 'n'), .comment = "c", .checksum = true});
  EXPECT_EQ(decompress(packed), "text");
}

TEST(GzipHeader, RejectsDamagedHeadersInPiecesOfAnySize) {
  const std::string good = gzip_with_fields("text", {.name = "n", .checksum = true});
  const auto with = [&](std::size_t at, char byte) {
    return std::string(good).replace(at, 1, 1, byte);
  };
  const std::vector<std::pair<std::string, std::string>> members = {
      {good, "nothing was wrong"},
      {good.substr(0, 13), "gzip data ends too early"},
      {with(1, '\0'), "gzip data is damaged: bad header"},
      {with(2, '\7'), "gzip data is damaged: unknown compression method"},
      {with(3, '\x2a'), "gzip data is damaged: bad header"},
      {with(9, 'x'), "gzip data is damaged: the checksum of its header does not match"},
      {with(10, 'x'), "gzip data is damaged: the checksum of its header does not match"},
      {with(13, static_cast<char>(good[13] ^ 1)),
       "gzip data is damaged: the checksum of its header does not match"},
  };
  // The second member: without the first two bytes, a first one would be no gzip.
  for (const auto& [member, refusal] : members) {
    for (const std::size_t piece : {1, 2, 3, 20}) {
      EXPECT_EQ(refusal_of(good + member, piece), refusal);
    }
  }
}

}  // namespace
}  // namespace pyro
