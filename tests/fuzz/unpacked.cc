// The output of pyro's decompressors and of reference decoders.
#include "unpacked.h"

#include <algorithm>
#include <memory>

namespace pyro::fuzz {
namespace {

constexpr std::size_t kBlockSize = Decompressor::kBlockSize;

/// Whole pieces end with a block, but for zstd's, which may have to end before.
class Pieces {
 public:
  explicit Pieces(Decompressor& decompressor, std::uint8_t cut)
      : decompressor_(decompressor), start_(cut * std::size_t{16}) {}

  /// False at the end.
  bool append_to(std::string& bytes) {
    const std::size_t position = start_ + bytes.size();
    const Bytes piece = decompressor_.next(position);
    require(piece.empty() || !short_, "only the last piece ends within a block");
    short_ = (position + piece.size()) % kBlockSize != 0 && decompressor_.name() != "zstd";
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return !piece.empty();
  }

 private:
  Decompressor& decompressor_;
  std::size_t start_;
  bool short_ = false;
};

/// Some megabytes of memory take longer to get than most inputs to read: the same ring again,
/// unless a decoder that was given up may hold on to it.
OutputRing& ring(bool fresh = false) {
  static auto made = std::make_unique<OutputRing>();
  if (fresh) made = std::make_unique<OutputRing>();
  return *made;
}

bool all_zeros(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Unpacked unpack(Bytes packed, std::uint8_t cut, Checksums checksums) {
  Unpacked unpacked;
  bool may_hold_on = false;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    const auto decompressor = open_decompressor(in_pieces(packed, cut), ring(), checksums);
    may_hold_on = checksums == Checksums::check && decompressor->name() == "zstd";
    Pieces pieces(*decompressor, cut);
    while (unpacked.bytes.size() <= kMostOutput) {
      if (pieces.append_to(unpacked.bytes)) continue;
      require(decompressor->next(0).empty(), "the end stays the end");
      return;
    }
    unpacked.end = Unpacked::End::too_long;
  });
  if (!sound) unpacked.end = Unpacked::End::refused;
  if (may_hold_on && unpacked.end != Unpacked::End::complete) (void)ring(/*fresh=*/true);
  return unpacked;
}

bool is_format(Bytes packed, std::string_view name) {
  return open_decompressor(in_pieces(packed, 0), ring())->name() == name;
}

void require_same(const Unpacked& ours, const Unpacked& theirs) {
  const std::size_t common = std::min(ours.bytes.size(), theirs.bytes.size());
  require(std::string_view(ours.bytes).substr(0, common) ==
              std::string_view(theirs.bytes).substr(0, common),
          "the same bytes come out");
  using End = Unpacked::End;
  if (ours.end == End::too_long || theirs.end == End::too_long) return;
  require(ours.end == theirs.end, "both take it, or both refuse it");
  require(ours.end == End::refused || ours.bytes.size() == theirs.bytes.size(),
          "as many bytes come out");
}

Unpacked check_cuts(const CutInput& input, Checksums checksums) {
  Unpacked whole = unpack(input.bytes, 0, checksums);
  if (input.cut != 0) require_same(unpack(input.bytes, input.cut, checksums), whole);
  return whole;
}

Unpacked unpack_streams(Bytes packed, bool (*begins)(std::byte first),
                        const StreamDecoder& decode) {
  Unpacked unpacked;
  do {
    if (packed.empty() || !begins(packed.front()) || !decode(packed, unpacked.bytes)) {
      unpacked.end = Unpacked::End::refused;
      return unpacked;
    }
    if (unpacked.bytes.size() > kMostOutput) {
      unpacked.end = Unpacked::End::too_long;
      return unpacked;
    }
  } while (!all_zeros(packed));
  return unpacked;
}

}  // namespace pyro::fuzz
