// What a file is that is named as the source of an environment.
#pragma once

#include <cstdint>
#include <filesystem>

namespace pyro {

enum class ArchiveKind : std::uint8_t {
  artifacts,  ///< A tar, with artifacts in it or not.
  layout,     ///< A tar with an OCI image layout in it.
  docker,     ///< A tar as `docker save` writes it.
  packed,     ///< Compressed: only a pull unpacks it, and sees what is in it.
};

/// By its first bytes and, where it is a tar that is not compressed, by the names in it.
/// @throws Error(integrity) for what is no archive, with what it is and what can be done with it;
/// (filesystem)
[[nodiscard]] ArchiveKind archive_kind(const std::filesystem::path& path);

}  // namespace pyro
