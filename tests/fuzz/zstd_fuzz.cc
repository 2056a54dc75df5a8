// zstd: decoding block by block beside libzstd's own streaming decoder.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "unpacked.h"

namespace pyro::fuzz {
namespace {

constexpr int kMaxWindowLog = 27;

bool begins_frame(std::byte first) {
  return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
}

/// libzstd does not hold a window that it has no need of against any limit.
bool window_is_too_large(Bytes packed) {
  ZSTD_frameHeader header{};
  const std::size_t result = ZSTD_getFrameHeader(&header, packed.data(), packed.size());
  return result == 0 && header.frameType == ZSTD_frame &&
         header.windowSize > std::uint64_t{1} << kMaxWindowLog;
}

/// One frame. Byte by byte at first: a frame that is there as a whole would be decoded in a way of
/// its own, with rules of its own.
bool decode_frame(ZSTD_DCtx* context, Bytes& packed, std::string& output) {
  if (window_is_too_large(packed)) return false;
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  std::array<char, 32768> room;
  std::size_t at = 0;
  std::size_t result = 1;
  while (result != 0 && output.size() <= kMostOutput) {
    const std::size_t end = at < ZSTD_FRAMEHEADERSIZE_MAX ? at + 1 : packed.size();
    ZSTD_inBuffer in{packed.data(), std::min(end, packed.size()), at};
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    result = ZSTD_decompressStream(context, &out, &in);
    const bool stuck = in.pos == packed.size() && out.pos == 0;
    output.append(room.data(), out.pos);
    at = in.pos;
    if (ZSTD_isError(result) || (result != 0 && stuck)) return false;
  }
  packed = packed.subspan(at);
  return true;
}

Unpacked unpack_by_libzstd(Bytes packed) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  return unpack_streams(packed, begins_frame, [&](Bytes& rest, std::string& output) {
    return decode_frame(context.get(), rest, output);
  });
}

/// Without them at least as much is taken, and it is the same.
void check_without_checksums(const CutInput& input, const Unpacked& checked) {
  const Unpacked left = unpack(input.bytes, input.cut, Checksums::leave);
  require(checked.end != Unpacked::End::complete || left.end == Unpacked::End::complete,
          "what is sound is taken without looking at checksums");
  const std::size_t common = std::min(left.bytes.size(), checked.bytes.size());
  require(left.bytes.compare(0, common, checked.bytes, 0, common) == 0, "... and is the same");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  if (!is_format(input.bytes, "zstd")) return 0;
  const Unpacked ours = check_cuts(input);
  require_same(ours, unpack_by_libzstd(input.bytes));
  check_without_checksums(input, ours);
  return 0;
}
