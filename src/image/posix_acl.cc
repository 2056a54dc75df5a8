// POSIX access control lists.
#include "image/posix_acl.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "image/tree.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

constexpr std::uint32_t kAclXattrVersion = 2;

struct AclXattrEntry {
  std::uint16_t tag;
  std::uint16_t permissions;
  std::uint32_t id;
};
static_assert(sizeof(AclXattrEntry) == 8);

[[noreturn]] void refuse_acl(std::string_view why) {
  throw Error(ErrorCode::integrity, "its access control list " + std::string(why));
}

bool has_id(AclEntry::Tag tag) {
  return tag == AclEntry::user || tag == AclEntry::group;
}

/// Sorts the list and checks it as Linux does (posix_acl_valid).
Acl sorted_and_checked(Acl acl) {
  if (acl.empty()) return acl;
  std::ranges::sort(acl);
  const auto count = [&](AclEntry::Tag tag) {
    return std::ranges::count(acl, tag, &AclEntry::tag);
  };
  const bool is_complete = count(AclEntry::owner) == 1 && count(AclEntry::owning_group) == 1 &&
                           count(AclEntry::other) == 1 && count(AclEntry::mask) <= 1;
  if (!is_complete) refuse_acl("does not have one entry each for owner, group and others");
  const bool has_named = count(AclEntry::user) + count(AclEntry::group) > 0;
  if (has_named && count(AclEntry::mask) == 0) refuse_acl("has no mask");
  const auto same_subject = [](const AclEntry& a, const AclEntry& b) {
    return a.tag == b.tag && a.id == b.id;
  };
  if (std::ranges::adjacent_find(acl, same_subject) != acl.end()) {
    refuse_acl("names a user or group twice");
  }
  return acl;
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

std::uint16_t parse_permissions(std::string_view text) {
  constexpr std::string_view kLetters = "rwx";
  std::uint16_t permissions = 0;
  bool is_valid = text.size() == kLetters.size();
  for (std::size_t i = 0; is_valid && i < kLetters.size(); ++i) {
    is_valid = text[i] == kLetters[i] || text[i] == '-';
    if (text[i] == kLetters[i]) permissions |= static_cast<std::uint16_t>(4U >> i);
  }
  if (!is_valid) refuse_acl("has permissions that are not like 'rwx'");
  return permissions;
}

AclEntry::Tag parse_tag(std::string_view text, bool is_named) {
  if (text == "user" || text == "u") return is_named ? AclEntry::user : AclEntry::owner;
  if (text == "group" || text == "g") return is_named ? AclEntry::group : AclEntry::owning_group;
  if (!is_named && (text == "mask" || text == "m")) return AclEntry::mask;
  if (!is_named && (text == "other" || text == "o")) return AclEntry::other;
  refuse_acl("has an entry " + in_quotes(text));
}

AclEntry parse_acl_entry(std::string_view text) {
  std::vector<std::string_view> fields;
  for (std::size_t colon = 0; colon != std::string_view::npos;) {
    colon = text.find(':');
    fields.push_back(trim(text.substr(0, colon)));
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  // "other:r-x" and "mask:r-x" have no field for a name.
  if (fields.size() == 2) fields.insert(fields.begin() + 1, std::string_view());
  if (fields.size() < 3 || fields.size() > 4)
    refuse_acl("has an entry that is not like 'user::rwx'");
  const std::string_view name = fields[1];
  AclEntry entry{.tag = parse_tag(fields[0], !name.empty()),
                 .permissions = parse_permissions(fields[2])};
  if (!has_id(entry.tag)) return entry;
  const auto id = parse_id(fields.size() == 4 ? fields[3] : name);
  if (!id) refuse_acl("names " + in_quotes(name) + " without a number");
  entry.id = *id;
  return entry;
}

}  // namespace

Acl parse_acl_text(std::string_view text) {
  Acl acl;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(",\n"), text.size());
    const std::string_view entry = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!entry.empty()) acl.push_back(parse_acl_entry(entry));
  }
  return sorted_and_checked(std::move(acl));
}

Acl parse_acl_xattr(std::string_view value) {
  std::uint32_t version = 0;
  if (value.size() < sizeof version) refuse_acl("is damaged");
  std::memcpy(&version, value.data(), sizeof version);
  value.remove_prefix(sizeof version);
  if (version != kAclXattrVersion || value.size() % sizeof(AclXattrEntry) != 0) {
    refuse_acl("is damaged");
  }
  Acl acl;
  for (; !value.empty(); value.remove_prefix(sizeof(AclXattrEntry))) {
    AclXattrEntry entry{};
    std::memcpy(&entry, value.data(), sizeof entry);
    constexpr unsigned kTags = 63;
    const bool is_tag = std::has_single_bit(entry.tag) && (entry.tag & kTags) != 0;
    if (!is_tag || entry.permissions > 7) refuse_acl("is damaged");
    const auto tag = static_cast<AclEntry::Tag>(entry.tag);
    acl.push_back({tag, entry.permissions, has_id(tag) ? entry.id : UINT32_MAX});
  }
  return sorted_and_checked(std::move(acl));
}

std::string acl_xattr(const Acl& acl) {
  std::string value(reinterpret_cast<const char*>(&kAclXattrVersion), sizeof kAclXattrVersion);
  for (const AclEntry& entry : acl) {
    const AclXattrEntry stored{entry.tag, entry.permissions, entry.id};
    value.append(reinterpret_cast<const char*>(&stored), sizeof stored);
  }
  return value;
}

bool is_like_mode(const Acl& acl) {
  return std::ranges::all_of(
      acl, [](const AclEntry& entry) { return !has_id(entry.tag) && entry.tag != AclEntry::mask; });
}

}  // namespace pyro::image
