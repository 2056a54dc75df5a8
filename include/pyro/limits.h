// Upper bounds on the content of an image.
#pragma once

#include <cstdint>

namespace pyro {

/// Upper bounds on the content of an image or archive. Content beyond them is Error(integrity).
struct ExtractionLimits {
  std::uint64_t rootfs_bytes = std::uint64_t{64} << 30;      ///< Size of rootfs.ext4.
  std::uint64_t kernel_bytes = std::uint64_t{1} << 30;       ///< Size of vmlinux.
  std::uint64_t initrd_bytes = std::uint64_t{1} << 30;       ///< Size of initrd.img.
  std::uint64_t other_bytes = std::uint64_t{16} << 30;       ///< All other decompressed bytes.
  std::uint64_t compressed_bytes = std::uint64_t{64} << 30;  ///< All layers as transferred.
  std::uint64_t members = 100'000;                           ///< Number of members in archives.
};

}  // namespace pyro
