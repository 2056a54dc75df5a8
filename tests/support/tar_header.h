// One 512-byte tar header, truthful until tweaked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/tar_builder.h"

namespace pyro::testing {

class TarHeader {
 public:
  TarHeader(char type, std::string_view name, std::uint64_t size);

  void set_link_target(std::string_view target);
  /// The first four extents, and whether more follow in extension blocks.
  void set_sparse_map(std::int64_t real_size, const std::vector<SparseExtent>& extents);

  /// Applies the tweaks and makes the checksum.
  std::string finish(const HeaderTweaks& tweaks);

 private:
  void put(std::size_t offset, std::string_view bytes);

  std::string block_;
  std::uint64_t size_;
};

/// The blocks that hold what does not fit into the header of an old GNU sparse member.
std::string sparse_extension_blocks(const std::vector<SparseExtent>& extents);

std::pair<std::size_t, std::string> device_patch(unsigned major, unsigned minor);

}  // namespace pyro::testing
