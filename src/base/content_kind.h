// The kind of a file by its content, for errors about unexpected content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pyro {

/// The use of content.
enum class ContentUse : std::uint8_t { none, compressed, tar, kernel, file_system };

/// The number of bytes needed from a file's beginning; btrfs has its name behind 64 KiB.
inline constexpr std::size_t kContentHead = std::size_t{66} << 10;

/// "a zip archive", "gzip data", "an ext2, ext3 or ext4 file system"; empty for unknown content.
/// `head` is the beginning of the content, up to kContentHead bytes.
[[nodiscard]] std::string_view content_name(std::span<const std::byte> head) noexcept;

/// Whether `head` begins content of that use. Several uses may match: a file system may begin with
/// a boot sector of any kind.
[[nodiscard]] bool begins_as(std::span<const std::byte> head, ContentUse use) noexcept;

}  // namespace pyro
