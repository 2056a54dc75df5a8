// The output of pyro's decompressors and of reference decoders.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "oracle.h"

namespace pyro::fuzz {

/// A few bytes may unpack to gigabytes; only this much is compared. The ring wraps twice in it.
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

/// Requires the same output for any piece boundaries. Returns the output for one piece.
Unpacked check_cuts(const CutInput& input, Checksums checksums = Checksums::check);

/// Removes one stream from the front of the packed bytes, appends its content to the output, and
/// returns whether it is valid. May stop when the output is longer than kMostOutput.
using StreamDecoder = std::function<bool(Bytes& packed, std::string& output)>;

/// Decodes streams of one format with a third-party decoder, by the rules of decompress.h: a stream
/// may be followed by another one, whose first byte `begins` accepts, or by zeros up to the end.
[[nodiscard]] Unpacked unpack_streams(Bytes packed, bool (*begins)(std::byte first),
                                      const StreamDecoder& decode);

}  // namespace pyro::fuzz
