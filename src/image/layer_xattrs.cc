// The extended attributes of an entry.
#include <algorithm>
#include <utility>

#include "image/layers.h"
#include "image/posix_acl.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

[[noreturn]] void refuse_xattr(std::string why) {
  throw Error(ErrorCode::integrity, std::move(why));
}

// The guest's overlayfs would obey its own attributes; the others belong to the policy and to the
// keys of the system that the image was made on.
bool is_left_out(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") ||
         name == "security.selinux" || name == "security.ima" || name == "security.evm";
}

void add_acl(std::vector<Xattr>& xattrs, std::string_view name, const Acl& acl) {
  if (acl.empty() || (name == kAccessAcl && is_like_mode(acl))) return;
  xattrs.push_back({std::string(name), acl_xattr(acl)});
}

void check_acl_fits(const LayerEntry& entry, std::string_view name) {
  if (name == kDefaultAcl && entry.type != LayerEntry::Type::directory) {
    refuse_xattr("it has a default access control list and is no directory");
  }
  if (entry.type == LayerEntry::Type::symlink) {
    refuse_xattr("a symbolic link cannot have an access control list");
  }
}

}  // namespace

std::vector<Xattr> kept_xattrs(const LayerEntry& entry) {
  constexpr std::size_t kMaxXattrName = 255;  // of Linux
  constexpr std::size_t kXattrOverhead = 16;  // names may be short and many
  std::vector<Xattr> kept;
  std::size_t bytes = entry.access_acl.size() + entry.default_acl.size();
  for (const auto& [name, value] : entry.xattrs) {
    bytes += kXattrOverhead + name.size() + value.size();
    if (bytes > Layers::kMaxXattrBytes) break;
    if (is_left_out(name)) continue;
    if (name.empty() || name.size() > kMaxXattrName || name.find('\0') != std::string::npos) {
      refuse_xattr("an extended attribute has a name that Linux does not accept");
    }
    if (name == kAccessAcl || name == kDefaultAcl) {
      add_acl(kept, name, parse_acl_xattr(value));
    } else {
      kept.push_back({name, value});
    }
  }
  if (bytes > Layers::kMaxXattrBytes) {
    refuse_xattr("its extended attributes have more than 64 KiB");
  }
  add_acl(kept, kAccessAcl, parse_acl_text(entry.access_acl));
  add_acl(kept, kDefaultAcl, parse_acl_text(entry.default_acl));
  // The last of a name counts.
  std::ranges::reverse(kept);
  std::ranges::stable_sort(kept, {}, &Xattr::name);
  const auto same_name = [](const Xattr& a, const Xattr& b) { return a.name == b.name; };
  kept.erase(std::unique(kept.begin(), kept.end(), same_name), kept.end());
  for (const Xattr& xattr : kept) {
    if (xattr.name == kAccessAcl || xattr.name == kDefaultAcl) check_acl_fits(entry, xattr.name);
  }
  return kept;
}

}  // namespace pyro::image
