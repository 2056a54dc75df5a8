// gzip: ours beside zlib. Where the first byte has its highest bit, the others are a raw deflate
// stream: no fuzzer finds the checksum that a change of it needs.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "unpacked.h"

namespace pyro::fuzz {
namespace {

constexpr std::uint8_t kRaw = 0x80;
constexpr int kGzipOnly = MAX_WBITS + 16;
constexpr int kDeflateOnly = -MAX_WBITS;

/// Whether zlib has refused a set of code lengths since this was cleared. It demands complete sets,
/// which RFC 1951 does not, and ISA-L takes others, too.
bool has_refused_set = false;

/// One stream by zlib.
bool inflate_one(Bytes& packed, std::string& output, int window_bits) {
  z_stream stream{};
  require(inflateInit2(&stream, window_bits) == Z_OK, "zlib begins");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::array<char, 32768> room;
  int result = Z_OK;
  while (result == Z_OK && output.size() <= kMostOutput) {
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out = static_cast<uInt>(room.size());
    result = inflate(&stream, Z_NO_FLUSH);
    output.append(room.data(), room.size() - stream.avail_out);
  }
  packed = packed.last(stream.avail_in);
  const std::string_view why = stream.msg != nullptr ? stream.msg : "";
  if (why.ends_with(" set")) has_refused_set = true;
  return result == Z_STREAM_END || result == Z_OK;
}

Unpacked unpack_by_zlib(Bytes packed) {
  return unpack_streams(
      packed, [](std::byte first) { return first == std::byte{0x1f}; },
      [](Bytes& rest, std::string& output) { return inflate_one(rest, output, kGzipOnly); });
}

void append_little_endian(std::string& text, std::size_t value) {
  for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(value >> shift);
}

/// The deflate stream at the front of `raw` as a gzip file with right checksum and size.
std::string with_wrapper(Bytes raw) {
  Bytes rest = raw;
  std::string content;
  inflate_one(rest, content, kDeflateOnly);
  std::string file("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  file.append(reinterpret_cast<const char*>(raw.data()), raw.size() - rest.size());
  append_little_endian(file,
                       crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
  append_little_endian(file, content.size());
  return file;
}

void check(const CutInput& input) {
  if (!is_format(input.bytes, "gzip")) return;
  const Unpacked ours = check_cuts(input);
  has_refused_set = false;
  const Unpacked theirs = unpack_by_zlib(input.bytes);
  if (!has_refused_set) require_same(ours, theirs);
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  CutInput input(data, size);
  std::string file;
  if ((input.cut & kRaw) != 0) {
    file = with_wrapper(input.bytes);
    input.bytes = std::as_bytes(std::span(file));
    input.cut = static_cast<std::uint8_t>(input.cut & ~kRaw);
  }
  check(input);
  return 0;
}
