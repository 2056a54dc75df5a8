// The files of an environment: kernel, root file system, initial RAM disk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pyro/digest.h"

namespace pyro {

struct ArtifactKind {
  std::string_view name;
  bool required;
};

inline constexpr std::array<ArtifactKind, 3> kArtifactKinds = {{
    {"vmlinux", true},
    {"rootfs.ext4", true},
    {"initrd.img", false},
}};
inline constexpr std::size_t kKernel = 0;
inline constexpr std::size_t kRootfs = 1;
inline constexpr std::size_t kInitrd = 2;

/// The index in kArtifactKinds of the artifact called `name`.
[[nodiscard]] constexpr std::optional<std::size_t> artifact_index(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kArtifactKinds.size(); ++i) {
    if (kArtifactKinds[i].name == name) return i;
  }
  return std::nullopt;
}

/// Removes ".gz", ".zst", ".xz" or ".bz2" from the end of `name`; whether there was one.
[[nodiscard]] bool remove_packed_suffix(std::string_view& name) noexcept;

/// artifact_index() of an artifact that may be compressed itself: "rootfs.ext4.zst".
[[nodiscard]] std::optional<std::size_t> packed_artifact_index(std::string_view name) noexcept;

/// Whether an artifact of that name in an archive is compressed if its content looks so: an
/// initrd.img is a compressed file by itself.
[[nodiscard]] bool may_be_packed(std::size_t kind, std::string_view name) noexcept;

/// Checks the first bytes of artifact `kind`, which `file` is open on for reading: vmlinux must be
/// an ELF file or a bzImage, rootfs.ext4 a file system of any type, and none may be empty.
/// @throws Error(integrity) that names the content found; (filesystem)
void require_artifact_content(int file, std::size_t kind);

/// An artifact as it was written: which kind, how large, and its fs-verity digest.
struct WrittenArtifact {
  std::size_t kind = 0;
  std::size_t file = 0;  ///< Index of the file it was written to.
  std::uint64_t size = 0;
  Digest digest;
};

}  // namespace pyro
