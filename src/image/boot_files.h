// The kernel and the initrd in a distribution's tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpio.h"
#include "image/layers.h"
#include "pyro/limits.h"
#include "stream/artifacts.h"
#include "stream/output_ring.h"
#include "stream/tar.h"

namespace pyro::image {

/// Members of the tree's tar that become artifacts of their own, and are not in its file system:
///
///   boot/vmlinuz-VERSION      the kernel, a bzImage
///   boot/pyro-initrd/         what the initrd holds: directories and files
///
/// All functions throw Error(integrity) for other content, and Error(filesystem).
class BootFiles {
 public:
  /// Of all of them together, as they are in the tar.
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;

  /// Whether `entry` is one of them; then its content has been read from `tar`.
  [[nodiscard]] bool take(const LayerEntry& entry, std::uint64_t size, TarReader& tar);

  /// Writes kernel and initrd to `files`, which are numbered as in MergedView.
  [[nodiscard]] std::vector<WrittenArtifact> write(const std::vector<int>& files,
                                                   const ExtractionLimits& limits,
                                                   OutputRing& ring) &&;

 private:
  [[nodiscard]] std::string read(std::uint64_t size, TarReader& tar);

  std::optional<std::string> kernel_;
  CpioArchive initrd_;
  std::uint64_t bytes_ = 0;
};

}  // namespace pyro::image
