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

/// An artifact as it was written: which kind, how large, and its fs-verity digest.
struct WrittenArtifact {
  std::size_t kind = 0;
  std::size_t file = 0;  ///< Index of the file it was written to.
  std::uint64_t size = 0;
  Digest digest;
};

}  // namespace pyro
