// The header of a tar's member.
#include "base/tar_header.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace pyro {
namespace {

/// A field of digits, with a zero byte behind them.
void put_octal(TarHeader& header, std::size_t offset, std::size_t size, std::uint64_t value) {
  for (std::size_t i = size - 1; i-- > 0; value >>= 3) {
    header[offset + i] = static_cast<std::byte>('0' + (value & 7));
  }
}

void put_text(TarHeader& header, std::size_t offset, std::string_view text) {
  std::memcpy(header.data() + offset, text.data(), text.size());
}

constexpr std::size_t kLongestName = 100;
constexpr std::size_t kSizeAt = 124;
constexpr std::size_t kSizeLength = 12;
constexpr std::size_t kChecksumAt = 148;
constexpr std::size_t kChecksumLength = 8;

void put_size(TarHeader& header, std::uint64_t size) {
  if (size >> 33 == 0) return put_octal(header, kSizeAt, kSizeLength, size);
  header[kSizeAt] = std::byte{0x80};
  for (std::size_t i = kSizeLength - 1; i > 0 && size > 0; --i, size >>= 8) {
    header[kSizeAt + i] = static_cast<std::byte>(size & 0xff);
  }
}

/// The sum of all bytes, those of the checksum as spaces; six digits, a zero byte and a space.
void put_checksum(TarHeader& header) {
  std::fill_n(header.begin() + kChecksumAt, kChecksumLength, std::byte{' '});
  std::uint64_t sum = 0;
  for (const std::byte byte : header) sum += static_cast<unsigned>(byte);
  put_octal(header, kChecksumAt, kChecksumLength - 1, sum);
  header[kChecksumAt + kChecksumLength - 2] = std::byte{0};
}

}  // namespace

TarHeader make_tar_header(std::string_view name, std::uint64_t size) {
  if (name.size() > kLongestName) throw std::length_error("a name is too long for a tar's header");
  const bool is_directory = name.ends_with('/');
  TarHeader header{};
  put_text(header, 0, name);
  put_octal(header, 100, 8, is_directory ? 0755 : 0644);
  put_octal(header, 108, 8, 0);
  put_octal(header, 116, 8, 0);
  put_size(header, size);
  put_octal(header, 136, 12, 0);
  header[156] = is_directory ? std::byte{'5'} : std::byte{'0'};
  put_text(header, 257, std::string_view("ustar\00000", 8));
  put_octal(header, 329, 8, 0);
  put_octal(header, 337, 8, 0);
  put_checksum(header);
  return header;
}

}  // namespace pyro
