// POSIX access control lists: text as tar has it, and the value of Linux's extended attribute.
//
// Source: Linux, include/uapi/linux/posix_acl_xattr.h; star(4), "SCHILY.acl.access".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pyro::image {

inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

struct AclEntry {
  enum Tag : std::uint16_t {
    owner = 1,
    user = 2,
    owning_group = 4,
    group = 8,
    mask = 16,
    other = 32,
  };
  Tag tag = owner;
  std::uint16_t permissions = 0;  ///< 4: read, 2: write, 1: execute.
  std::uint32_t id = UINT32_MAX;  ///< Of a user or group.

  friend auto operator<=>(const AclEntry&, const AclEntry&) = default;
};

/// In the order that Linux wants: by tag and id.
using Acl = std::vector<AclEntry>;

/// "user::rwx,user:joe:r-x:1000,group::r-x,mask::r-x,other::---", with commas or lines. A named
/// user or group has a number in the last field, or as its name. Empty text is an empty list.
/// @throws Error(integrity) for other text, and for a list that Linux does not accept
[[nodiscard]] Acl parse_acl_text(std::string_view text);

/// The value of an extended attribute of the above names.
/// @throws Error(integrity) as before
[[nodiscard]] Acl parse_acl_xattr(std::string_view value);

[[nodiscard]] std::string acl_xattr(const Acl& acl);

/// Whether an access list says no more than the permission bits.
[[nodiscard]] bool is_like_mode(const Acl& acl);

}  // namespace pyro::image
