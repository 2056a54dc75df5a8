// What a file is, by its content: for refusals that say what came in place of what was wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pyro {

/// What can be done with content of a kind.
enum class ContentUse : std::uint8_t { none, compressed, tar, kernel, file_system };

/// How much of a file's beginning is of use; btrfs has its name behind 64 KiB.
inline constexpr std::size_t kContentHead = std::size_t{66} << 10;

/// "a zip archive", "gzip data", "an ext2, ext3 or ext4 file system"; empty where nothing is known.
/// `head` is the beginning of the content, as much of it as there is at hand.
[[nodiscard]] std::string_view content_name(std::span<const std::byte> head) noexcept;

/// Whether `head` is the beginning of something of that use. A file system may have a boot sector
/// of any kind in front, so it may be two things at once.
[[nodiscard]] bool begins_as(std::span<const std::byte> head, ContentUse use) noexcept;

}  // namespace pyro
