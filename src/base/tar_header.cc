// The header of a tar's member.
#include "base/tar_header.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace pyro {
namespace {

/// The place of a field in a header, in bytes.
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUser{108, 8};
constexpr Field kGroup{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kLink{157, 100};
constexpr Field kMagic{257, 6};
constexpr Field kMajor{329, 8};
constexpr Field kMinor{337, 8};
constexpr Field kPrefix{345, 155};

/// "ustar", and version 00 behind it.
constexpr std::string_view kMagicAndVersion("ustar\00000", 8);

// --- writing ---

/// Digits, with a zero byte behind them.
void put_octal(TarHeader& header, Field field, std::uint64_t value) {
  for (std::size_t i = field.size - 1; i-- > 0; value >>= 3) {
    header[field.offset + i] = static_cast<std::byte>('0' + (value & 7));
  }
}

void put_text(TarHeader& header, Field field, std::string_view text) {
  std::memcpy(header.data() + field.offset, text.data(), text.size());
}

void put_size(TarHeader& header, std::uint64_t size) {
  if (size >> 33 == 0) return put_octal(header, kSize, size);
  header[kSize.offset] = std::byte{0x80};
  for (std::size_t i = kSize.size - 1; i > 0 && size > 0; --i, size >>= 8) {
    header[kSize.offset + i] = static_cast<std::byte>(size & 0xff);
  }
}

/// The sum of all bytes, those of the checksum as spaces.
std::uint64_t sum_of(const TarHeader& header) {
  std::uint64_t sum = kChecksum.size * std::uint64_t{' '};
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    if (!own) sum += std::to_integer<unsigned>(header[i]);
  }
  return sum;
}

/// Six digits, a zero byte and a space.
void put_checksum(TarHeader& header) {
  put_octal(header, {kChecksum.offset, kChecksum.size - 1}, sum_of(header));
  header[kChecksum.offset + kChecksum.size - 1] = std::byte{' '};
}

// --- reading ---

std::string_view bytes_of(const TarHeader& header, Field field) {
  return {reinterpret_cast<const char*>(header.data()) + field.offset, field.size};
}

/// Up to the first zero byte.
std::string_view text_of(const TarHeader& header, Field field) {
  const std::string_view all = bytes_of(header, field);
  return all.substr(0, all.find('\0'));
}

std::optional<std::uint64_t> octal(std::string_view digits) {
  while (digits.starts_with(' ')) digits.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  const std::string_view rest(end, static_cast<std::size_t>(digits.data() + digits.size() - end));
  const bool ends = std::ranges::all_of(rest, [](char c) { return c == ' ' || c == '\0'; });
  if (error != std::errc() || !ends) return std::nullopt;
  return value;
}

/// GNU's form of large numbers: the first bit set, big endian.
std::optional<std::uint64_t> base256(std::string_view bytes) {
  if (bytes.front() != '\x80') return std::nullopt;  // negative, or beyond any file
  std::uint64_t value = 0;
  for (const char c : bytes.substr(1)) {
    if (value >> 55 != 0) return std::nullopt;
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

std::optional<std::uint64_t> number(std::string_view bytes) {
  return (static_cast<unsigned char>(bytes.front()) & 0x80) != 0 ? base256(bytes) : octal(bytes);
}

std::string name_of(const TarHeader& header) {
  std::string name(text_of(header, kName));
  const bool has_prefix = kMagicAndVersion.starts_with(bytes_of(header, kMagic));
  const std::string_view prefix = has_prefix ? text_of(header, kPrefix) : std::string_view();
  return prefix.empty() ? name : std::string(prefix) + "/" + name;
}

}  // namespace

TarHeader make_tar_header(std::string_view name, std::uint64_t size) {
  if (name.size() > kName.size) throw std::length_error("a name is too long for a tar's header");
  const bool is_directory = name.ends_with('/');
  TarHeader header{};
  put_text(header, kName, name);
  put_octal(header, kMode, is_directory ? 0755 : 0644);
  put_octal(header, kUser, 0);
  put_octal(header, kGroup, 0);
  put_size(header, size);
  put_octal(header, kTime, 0);
  header[kType] = is_directory ? std::byte{'5'} : std::byte{'0'};
  put_text(header, kMagic, kMagicAndVersion);
  put_octal(header, kMajor, 0);
  put_octal(header, kMinor, 0);
  put_checksum(header);
  return header;
}

std::optional<TarEntry> parse_tar_header(const TarHeader& header) {
  if (octal(bytes_of(header, kChecksum)) != sum_of(header)) return std::nullopt;
  return TarEntry{.name = name_of(header),
                  .size = number(bytes_of(header, kSize)),
                  .type = std::to_integer<char>(header[kType]),
                  .link = std::string(text_of(header, kLink))};
}

}  // namespace pyro
