// The files of an image.
#include "image/tree.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

constexpr std::size_t kFirstBuckets = 1024;

[[noreturn]] void exceed(std::string message) {
  throw Error(ErrorCode::integrity, std::move(message));
}

/// A number in front of a text.
template <typename Number>
void append_number(std::string& text, Number number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename Number>
Number take_number(std::string_view& text) {
  Number number = 0;
  std::memcpy(&number, text.data(), sizeof number);
  text.remove_prefix(sizeof number);
  return number;
}

std::string_view take_text(std::string_view& text, std::size_t size) {
  const std::string_view taken = text.substr(0, size);
  text.remove_prefix(size);
  return taken;
}

}  // namespace

// --- texts ---

TextId TextPool::add(std::string_view text) {
  if (text.size() > kChunk) exceed("a text in it has more than 256 KiB");
  // An empty text has an address, too.
  if (text.size() >= kChunk - used_) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunk));
    used_ = 0;
  }
  text.copy(&chunks_.back()[used_], text.size());
  const std::size_t id = (chunks_.size() - 1) * kChunk + used_;
  used_ += text.size();
  return static_cast<TextId>(id);
}

TextId Tree::add_sized(std::string_view text) {
  std::string sized;
  append_number(sized, static_cast<std::uint32_t>(text.size()));
  sized += text;
  const TextId id = text_.add(sized);
  check_memory();
  return id;
}

TextId Tree::add_target(std::string_view text) {
  return add_sized(text);
}

std::string_view Tree::target(const Inode& symlink) const {
  std::string_view size = text_.get(symlink.target, sizeof(std::uint32_t));
  return text_.get(symlink.target + sizeof(std::uint32_t), take_number<std::uint32_t>(size));
}

TextId Tree::add_xattrs(const std::vector<Xattr>& xattrs) {
  if (xattrs.empty()) return kNone;
  std::string text;
  for (const Xattr& xattr : xattrs) {
    append_number(text, static_cast<std::uint16_t>(xattr.name.size()));
    append_number(text, static_cast<std::uint32_t>(xattr.value.size()));
    text += xattr.name;
    text += xattr.value;
  }
  return add_sized(text);
}

std::vector<Xattr> Tree::xattrs(const Inode& inode) const {
  std::vector<Xattr> xattrs;
  if (inode.xattrs == kNone) return xattrs;
  std::string_view size = text_.get(inode.xattrs, sizeof(std::uint32_t));
  std::string_view text =
      text_.get(inode.xattrs + sizeof(std::uint32_t), take_number<std::uint32_t>(size));
  while (!text.empty()) {
    const auto name_size = take_number<std::uint16_t>(text);
    const auto value_size = take_number<std::uint32_t>(text);
    const std::string_view name = take_text(text, name_size);
    xattrs.push_back({std::string(name), std::string(take_text(text, value_size))});
  }
  return xattrs;
}

// --- entries ---

Tree::Tree(const SipKey& key) : key_(key), buckets_(kFirstBuckets, kNone) {
  const Inode root{
      .names = 1, .permissions = 0755, .type = InodeType::directory, .first_child = kNone};
  entries_.push_back({.name = text_.add(""), .parent = kRoot, .inode = add_inode(root)});
}

SipKey Tree::random_key() {
  SipKey key{};
  if (::getrandom(key.data(), sizeof key, 0) != sizeof key) {
    throw system_error("cannot get random numbers", errno);
  }
  return key;
}

std::size_t Tree::memory() const {
  return text_.memory() + entries_.size() * sizeof(Entry) + inodes_.size() * sizeof(Inode) +
         buckets_.size() * sizeof(EntryId);
}

void Tree::check_memory() const {
  if (memory() > kMaxMemory) {
    exceed("the names and attributes of its files take more than 512 MiB of memory");
  }
}

void Tree::count_steps(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) exceed("its paths and whiteouts visit too many directories");
}

InodeId Tree::add_inode(const Inode& inode) {
  inodes_.push_back(inode);
  return static_cast<InodeId>(inodes_.size() - 1);
}

EntryId Tree::add(EntryId directory, std::string_view name, InodeId inode, unsigned layer) {
  if (name.size() > kMaxName) exceed("a name in its path has more than 255 bytes");
  if (entries_.size() >= kMaxEntries) exceed("the image has more than 2000000 files");
  const unsigned depth = entries_[directory].depth + 1U;
  if (depth > kMaxDepth) exceed("it is more than 512 directories deep");
  if (in_buckets_ >= buckets_.size()) grow_buckets();

  Inode& parent = inodes_[entries_[directory].inode];
  const auto entry = static_cast<EntryId>(entries_.size());
  entries_.push_back({.name = text_.add(name),
                      .parent = directory,
                      .previous = parent.last_child,
                      .inode = inode,
                      .depth = static_cast<std::uint16_t>(depth),
                      .name_size = static_cast<std::uint8_t>(name.size()),
                      .layer = static_cast<std::uint8_t>(layer)});
  (parent.last_child == kNone ? parent.first_child : entries_[parent.last_child].next) = entry;
  parent.last_child = entry;
  ++inodes_[inode].names;
  insert_into_bucket(entry);
  check_memory();
  return entry;
}

InodeId Tree::remove(EntryId entry) {
  remove_from_bucket(entry);
  const Entry& removed = entries_[entry];
  Inode& parent = inodes_[entries_[removed.parent].inode];
  (removed.previous == kNone ? parent.first_child : entries_[removed.previous].next) = removed.next;
  (removed.next == kNone ? parent.last_child : entries_[removed.next].previous) = removed.previous;
  --inodes_[removed.inode].names;
  return removed.inode;
}

void Tree::redefine(EntryId directory, const Inode& attributes, unsigned layer) {
  Inode& inode = inodes_[entries_[directory].inode];
  inode.modified = attributes.modified;
  inode.uid = attributes.uid;
  inode.gid = attributes.gid;
  inode.permissions = attributes.permissions;
  inode.xattrs = attributes.xattrs;
  set_layer(directory, layer);
}

void Tree::set_layer(EntryId entry, unsigned layer) {
  entries_[entry].layer = static_cast<std::uint8_t>(layer);
}

std::string Tree::path(EntryId entry) const {
  if (entry == kRoot) return "/";
  std::vector<std::string_view> names;
  for (; entry != kRoot; entry = parent(entry)) names.push_back(name(entry));
  std::string path;
  for (auto part = names.rbegin(); part != names.rend(); ++part) path.append("/").append(*part);
  return path;
}

// --- the name table ---

std::size_t Tree::bucket(EntryId directory, std::string_view name) const {
  SipHash hash(key_);
  hash.add(directory);
  return hash.of(name) & (buckets_.size() - 1);
}

void Tree::insert_into_bucket(EntryId entry) {
  EntryId& head = buckets_[bucket(parent(entry), name(entry))];
  entries_[entry].chain = head;
  head = entry;
  ++in_buckets_;
}

void Tree::remove_from_bucket(EntryId entry) {
  EntryId* link = &buckets_[bucket(parent(entry), name(entry))];
  while (*link != entry) link = &entries_[*link].chain;
  *link = entries_[entry].chain;
  --in_buckets_;
}

void Tree::grow_buckets() {
  const std::vector<EntryId> old =
      std::exchange(buckets_, std::vector<EntryId>(2 * buckets_.size(), kNone));
  in_buckets_ = 0;
  for (EntryId head : old) {
    while (head != kNone) {
      const EntryId next = entries_[head].chain;
      insert_into_bucket(head);
      head = next;
    }
  }
}

EntryId Tree::find(EntryId directory, std::string_view name) const {
  EntryId entry = buckets_[bucket(directory, name)];
  while (entry != kNone && (parent(entry) != directory || Tree::name(entry) != name)) {
    entry = entries_[entry].chain;
  }
  return entry;
}

EntryId Tree::walk(std::string_view path, const OnNoDirectory& on_no_directory) {
  // The rest of the path, and of the targets of links on the way; the last one comes first.
  std::array<std::string_view, kMaxLinksFollowed + 1> pending;
  pending[0] = path;
  std::size_t depth = 1;
  unsigned followed = 0;
  EntryId at = kRoot;
  while (depth > 0) {
    if (pending[depth - 1].empty()) {
      --depth;
      continue;
    }
    const std::string_view name = take_component(pending[depth - 1]);
    count_steps(1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at = parent(at);
      continue;
    }
    EntryId found = find(at, name);
    if (found != kNone && inode_of(found).type == InodeType::symlink) {
      if (++followed > kMaxLinksFollowed) exceed("its path has more than 40 symbolic links");
      pending[depth] = target(inode_of(found));
      if (pending[depth].starts_with('/')) at = kRoot;
      ++depth;
      continue;
    }
    if (found == kNone || !is_directory(found)) found = on_no_directory(at, name, found);
    if (found == kNone) return kNone;
    at = found;
  }
  return at;
}

}  // namespace pyro::image
