// Headers of gzip members, with every field that there may be, wherever they are cut.
#include "stream/gzip_header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pyro/error.h"
#include "stream/decompress.h"
#include "support/compress.h"

namespace pyro {
namespace {

using testing::gzip_with_fields;
using testing::GzipFields;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// What two pieces unpack to: all in front of `cut`, and the rest.
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

GzipHeader::State take_in_pieces(std::string_view header, std::size_t piece) {
  GzipHeader reader;
  auto state = GzipHeader::State::incomplete;
  for (; state == GzipHeader::State::incomplete && !header.empty();) {
    const std::string_view next = header.substr(0, piece);
    auto bytes = bytes_of(next);
    state = reader.take(bytes);
    header.remove_prefix(next.size());
  }
  return state;
}

TEST(GzipHeader, TakesNamesOfAnyLengthAndNothingBehindThem) {
  const std::string packed = gzip_with_fields(
      "text", {.name = std::string(1 << 20, 'n'), .comment = "c", .checksum = true});
  GzipHeader header;
  auto bytes = bytes_of(packed);
  EXPECT_EQ(header.take(bytes), GzipHeader::State::complete);
  EXPECT_EQ(packed.size() - bytes.size(), std::size_t{10} + (1 << 20) + 1 + 2 + 2);
}

TEST(GzipHeader, RejectsWhatIsWrongInPiecesOfAnySize) {
  using State = GzipHeader::State;
  const std::string good = gzip_with_fields("text", {.name = "n", .checksum = true}).substr(0, 14);
  const auto with = [&](std::size_t at, char byte) {
    return std::string(good).replace(at, 1, 1, byte);
  };
  const std::vector<std::pair<std::string, State>> headers = {
      {good, State::complete},
      {good.substr(0, 13), State::incomplete},
      {with(1, '\0'), State::malformed},
      {with(2, '\7'), State::unknown_method},
      {with(3, '\x2a'), State::malformed},
      {with(9, 'x'), State::wrong_checksum},
      {with(10, 'x'), State::wrong_checksum},
      {with(13, static_cast<char>(good[13] ^ 1)), State::wrong_checksum},
  };
  for (const auto& [header, state] : headers) {
    for (const std::size_t piece : {1, 2, 3, 20}) EXPECT_EQ(take_in_pieces(header, piece), state);
  }
}

}  // namespace
}  // namespace pyro
