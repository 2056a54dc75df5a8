// The extended attributes of an inode, as ext4 stores them.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "image/ext4_format.h"
#include "image/tree.h"

namespace pyro::image::ext4 {

struct StoredXattrs {
  decltype(DiskInode::xattrs) in_inode = {};
  std::vector<std::byte> block = {};  ///< Empty when the inode has room for all.
};

/// @throws Error(integrity) for attributes that ext4 cannot keep: too large, or of an unknown kind
[[nodiscard]] StoredXattrs store_xattrs(const std::vector<Xattr>& xattrs);

}  // namespace pyro::image::ext4
