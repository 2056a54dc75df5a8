// The extended attributes of an inode.
#include "image/ext4_xattrs.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include "base/text.h"
#include "image/posix_acl.h"
#include "pyro/error.h"

namespace pyro::image::ext4 {
namespace {

struct NamePrefix {
  std::string_view text;
  std::uint8_t index;
};
constexpr NamePrefix kPrefixes[] = {{"user.", 1}, {"trusted.", 4}, {"security.", 6}};

struct DiskXattr {
  std::uint8_t prefix = 0;
  std::string name = {};  // without it
  std::string value = {};
};

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

std::size_t stored_size(const DiskXattr& xattr) {
  return sizeof(XattrEntry) + padded(xattr.name.size()) + padded(xattr.value.size());
}

/// ext4 stores a list without the numbers that are not used. Source: fs/ext4/acl.h.
std::string disk_acl(std::string_view value) {
  constexpr std::uint32_t kDiskAclVersion = 1;
  std::string stored(reinterpret_cast<const char*>(&kDiskAclVersion), sizeof kDiskAclVersion);
  const auto append = [&](const auto& number) {
    stored.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  for (const AclEntry& entry : parse_acl_xattr(value)) {
    append(static_cast<std::uint16_t>(entry.tag));
    append(entry.permissions);
    if (entry.tag == AclEntry::user || entry.tag == AclEntry::group) append(entry.id);
  }
  return stored;
}

DiskXattr disk_xattr(const Xattr& xattr) {
  if (xattr.name == kAccessAcl) return {.prefix = 2, .value = disk_acl(xattr.value)};
  if (xattr.name == kDefaultAcl) return {.prefix = 3, .value = disk_acl(xattr.value)};
  for (const auto& [text, index] : kPrefixes) {
    if (xattr.name.starts_with(text) && xattr.name.size() > text.size()) {
      return {.prefix = index, .name = xattr.name.substr(text.size()), .value = xattr.value};
    }
  }
  throw Error(ErrorCode::integrity, "ext4 cannot keep the attribute " + in_quotes(xattr.name));
}

std::uint32_t hash_of(const DiskXattr& xattr) {
  std::uint32_t hash = 0;
  for (const char c : xattr.name) hash = std::rotl(hash, 5) ^ static_cast<unsigned char>(c);
  for (std::size_t at = 0; at < xattr.value.size(); at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, &xattr.value[at], std::min<std::size_t>(4, xattr.value.size() - at));
    hash = std::rotl(hash, 16) ^ word;
  }
  return hash;
}

/// Entries from the front, values from the back, and four bytes of zeros between them.
class XattrArea {
 public:
  /// Offsets of values count from `area`, entries begin at `first_entry`.
  XattrArea(std::span<std::byte> area, std::size_t first_entry)
      : area_(area), entry_at_(first_entry), value_at_(area.size()) {}

  [[nodiscard]] bool add(const DiskXattr& xattr) {
    constexpr std::size_t kEnd = 4;
    if (entry_at_ + stored_size(xattr) + kEnd > value_at_) return false;
    value_at_ -= padded(xattr.value.size());
    const XattrEntry entry{
        .name_size = static_cast<std::uint8_t>(xattr.name.size()),
        .prefix = xattr.prefix,
        .value_offset = static_cast<std::uint16_t>(xattr.value.empty() ? 0 : value_at_),
        .value_size = static_cast<std::uint32_t>(xattr.value.size()),
        .hash = hash_of(xattr)};
    std::memcpy(&area_[entry_at_], &entry, sizeof entry);
    xattr.name.copy(reinterpret_cast<char*>(&area_[entry_at_ + sizeof entry]), xattr.name.size());
    if (!xattr.value.empty()) {
      std::memcpy(&area_[value_at_], xattr.value.data(), xattr.value.size());
    }
    entry_at_ += sizeof entry + padded(xattr.name.size());
    return true;
  }

 private:
  std::span<std::byte> area_;
  std::size_t entry_at_;
  std::size_t value_at_;
};

}  // namespace

StoredXattrs store_xattrs(const std::vector<Xattr>& xattrs) {
  StoredXattrs stored;
  if (xattrs.empty()) return stored;
  std::vector<DiskXattr> sorted;
  for (const Xattr& xattr : xattrs) sorted.push_back(disk_xattr(xattr));
  // Linux searches a block by this order.
  std::ranges::sort(sorted, {}, [](const DiskXattr& xattr) {
    return std::tuple(xattr.prefix, xattr.name.size(), std::string_view(xattr.name));
  });

  XattrArea in_inode(std::span(stored.in_inode).subspan(sizeof kInodeXattrMagic), 0);
  std::optional<XattrArea> in_block;
  for (const DiskXattr& xattr : sorted) {
    if (in_inode.add(xattr)) {
      std::memcpy(stored.in_inode.data(), &kInodeXattrMagic, sizeof kInodeXattrMagic);
      continue;
    }
    if (!in_block) {
      stored.block.resize(kBlockSize);
      const XattrBlockHeader header;
      std::memcpy(stored.block.data(), &header, sizeof header);
      in_block.emplace(stored.block, sizeof header);
    }
    if (!in_block->add(xattr)) {
      throw Error(ErrorCode::integrity, "ext4 cannot keep more than 4 KiB of extended attributes");
    }
  }
  return stored;
}

}  // namespace pyro::image::ext4
