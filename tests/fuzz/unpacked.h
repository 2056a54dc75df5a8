// What a decompressor makes of some bytes, and what it must.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "oracle.h"

namespace pyro::fuzz {

/// A few bytes may unpack to gigabytes; this much is looked at. Enough for the ring to wrap twice.
inline constexpr std::size_t kMostOutput = std::size_t{3} << 20;

struct Unpacked {
  enum class End { complete, refused, too_long };
  End end = End::complete;
  std::string bytes = {};  ///< What came before the end.
};

/// By open_decompressor().
[[nodiscard]] Unpacked unpack(Bytes packed, std::uint8_t cut,
                              Checksums checksums = Checksums::check);

/// Whether `packed` would be read as this format.
[[nodiscard]] bool is_format(Bytes packed, std::string_view name);

/// Ends the process unless they agree as far as both go.
void require_same(const Unpacked& ours, const Unpacked& theirs);

/// Whether boundaries make no difference; what comes of it in one piece.
Unpacked check_cuts(const CutInput& input, Checksums checksums = Checksums::check);

/// Takes one stream off the front of what is packed, appends what it holds to the output, and says
/// whether it is sound. May stop when the output is longer than kMostOutput.
using StreamDecoder = std::function<bool(Bytes& packed, std::string& output)>;

/// Streams of one format by a decoder of somebody else's, after the rules of decompress.h for what
/// may follow a stream: another one that `begins` with a byte like that, or zeros up to the end.
[[nodiscard]] Unpacked unpack_streams(Bytes packed, bool (*begins)(std::byte first),
                                      const StreamDecoder& decode);

}  // namespace pyro::fuzz
