// Upper bounds on what an image may unpack to.
#pragma once

#include <cstdint>

namespace pyro {

/// Upper bounds on what an image may unpack to (spec section 6, "Bounds"), in bytes.
struct ExtractionLimits {
  std::uint64_t rootfs_bytes = std::uint64_t{64} << 30;
  std::uint64_t kernel_bytes = std::uint64_t{1} << 30;
  std::uint64_t initrd_bytes = std::uint64_t{1} << 30;
  std::uint64_t other_bytes = std::uint64_t{16} << 30;
  std::uint64_t compressed_bytes = std::uint64_t{64} << 30;
  std::uint64_t members = 100'000;
};

}  // namespace pyro
