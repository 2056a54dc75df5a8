// The header of a tar's member, written and read.
//
// Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format", for
// sizes of 8 GiB and more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

inline constexpr std::size_t kTarBlock = 512;
/// Two blocks of zeros.
inline constexpr std::size_t kTarEnd = 2 * kTarBlock;

using TarHeader = std::array<std::byte, kTarBlock>;

/// Of a file (0644) or, for a name that ends in a slash, a directory (0755): of nobody in
/// particular, made in 1970, so that the same content gives the same tar.
///
/// libarchive could write tars as well, but not blobs whose names are known only when they are
/// complete: their header is put in front afterwards.
/// @throws std::length_error when `name` has more than 100 bytes
[[nodiscard]] TarHeader make_tar_header(std::string_view name, std::uint64_t size);

/// What a header says of its member. Text from outside: hostile.
struct TarEntry {
  std::string name;                   ///< With its prefix; as it is, whatever it leads to.
  std::optional<std::uint64_t> size;  ///< Nothing where there is no number, or one of no file's.
  char type = '0';
  std::string link = {};  ///< What a link leads to; as it is.
};

/// Nothing when its checksum is not right.
[[nodiscard]] std::optional<TarEntry> parse_tar_header(const TarHeader& header);

/// How many zeros follow a member's content of that size.
[[nodiscard]] constexpr std::uint64_t tar_padding(std::uint64_t size) noexcept {
  return (kTarBlock - size % kTarBlock) % kTarBlock;
}

}  // namespace pyro
