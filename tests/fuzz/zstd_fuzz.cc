// zstd: the same result wherever the input is cut, with checksums and without, and that of libzstd.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "unpacked.h"

namespace pyro::fuzz {
namespace {

constexpr int kMaxWindowLog = 27;
constexpr std::uint64_t kMaxWindow = std::uint64_t{1} << kMaxWindowLog;

/// Memory of more than that takes half a second under the sanitizers; unit tests have such windows.
constexpr std::uint64_t kSlowWindow = std::uint64_t{1} << 23;

bool begins_frame(std::byte first) {
  return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
}

std::uint64_t window_of(Bytes packed) {
  ZSTD_frameHeader header{};
  const std::size_t result = ZSTD_getFrameHeader(&header, packed.data(), packed.size());
  return result == 0 && header.frameType == ZSTD_frame ? header.windowSize : 0;
}

/// One frame. Byte by byte at first: a frame that is there as a whole would be decoded in a way of
/// its own, with rules of its own.
bool decode_frame(ZSTD_DCtx* context, Bytes& packed, std::string& output) {
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

/// Nothing where it would take long.
std::optional<Unpacked> unpack_by_libzstd(Bytes packed, Checksums checksums) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  ZSTD_DCtx_setParameter(
      context.get(), ZSTD_d_forceIgnoreChecksum,
      checksums == Checksums::check ? ZSTD_d_validateChecksum : ZSTD_d_ignoreChecksum);
  bool slow = false;
  Unpacked unpacked = unpack_streams(packed, begins_frame, [&](Bytes& rest, std::string& output) {
    const std::uint64_t window = window_of(rest);
    slow = slow || (window > kSlowWindow && window <= kMaxWindow);
    // libzstd does not hold a window that it has no need of against any limit.
    return !slow && window <= kMaxWindow && decode_frame(context.get(), rest, output);
  });
  return slow ? std::nullopt : std::optional(std::move(unpacked));
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  if (!is_format(input.bytes, "zstd")) return 0;
  const auto checksums = input.cut % 2 == 0 ? pyro::Checksums::check : pyro::Checksums::leave;
  const auto theirs = unpack_by_libzstd(input.bytes, checksums);
  if (theirs) require_same(check_cuts(input, checksums), *theirs);
  return 0;
}
