// The files an environment is made of.
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

/// Takes ".gz", ".zst", ".xz" or ".bz2" off the end of `name`; whether one was there.
[[nodiscard]] constexpr bool take_packed_suffix(std::string_view& name) noexcept {
  for (const std::string_view suffix : {".gz", ".zst", ".xz", ".bz2"}) {
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    return true;
  }
  return false;
}

/// The same of an artifact that may be compressed itself: "rootfs.ext4.zst".
[[nodiscard]] constexpr std::optional<std::size_t> packed_artifact_index(
    std::string_view name) noexcept {
  static_cast<void>(take_packed_suffix(name));
  return artifact_index(name);
}

/// Whether an artifact with that name in an archive is compressed if its content looks so: an
/// initrd.img is a compressed file by itself.
[[nodiscard]] constexpr bool may_be_packed(std::size_t kind, std::string_view name) noexcept {
  return kind != kInitrd || take_packed_suffix(name);
}

/// An artifact as it was written: which kind, how large, and its fs-verity digest.
struct WrittenArtifact {
  std::size_t kind = 0;
  std::size_t file = 0;  ///< Index of the file it was written to.
  std::uint64_t size = 0;
  Digest digest;
};

}  // namespace pyro
