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

/// The header of a file (0644) or, for a name that ends in a slash, a directory (0755). Owned by
/// root and dated 1970, so that the same content gives the same tar.
///
/// libarchive cannot write the header of a blob after its content, when its name is known.
/// @throws std::length_error when `name` has more than 100 bytes
[[nodiscard]] TarHeader make_tar_header(std::string_view name, std::uint64_t size);

/// The fields of a header. Hostile.
struct TarEntry {
  std::string name;                   ///< With its prefix; unchecked.
  std::optional<std::uint64_t> size;  ///< Nothing for an invalid number.
  char type = '0';
  std::string link = {};  ///< The target of a link; unchecked.
};

/// Nothing when the checksum is wrong.
[[nodiscard]] std::optional<TarEntry> parse_tar_header(const TarHeader& header);

/// The number of zeros behind a member's content of that size.
[[nodiscard]] constexpr std::uint64_t tar_padding(std::uint64_t size) noexcept {
  return (kTarBlock - size % kTarBlock) % kTarBlock;
}

}  // namespace pyro
