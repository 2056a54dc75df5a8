// The rules of layers.
#include "image/layers.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

constexpr std::string_view kMarker = ".wh.";
constexpr std::string_view kAufsMarker = ".wh..wh.";  // of aufs: means nothing here
constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";
constexpr unsigned kAllLayers = UINT32_MAX;

[[noreturn]] void refuse_entry(std::string why) {
  throw Error(ErrorCode::integrity, std::move(why));
}

std::string_view without_end(std::string_view path) {
  while (path.ends_with('/') || path == "." || path.ends_with("/.")) path.remove_suffix(1);
  return path;
}

void check_path(std::string_view path) {
  if (path.size() > Tree::kMaxPath) refuse_entry("its path has more than 4096 bytes");
  if (path.find('\0') != std::string_view::npos) refuse_entry("its path has a zero byte");
  while (!path.empty()) {
    const std::string_view name = take_component(path);
    if (name == "..") refuse_entry("its path has '..'");
    if (name.size() > Tree::kMaxName) refuse_entry("a name in its path has more than 255 bytes");
  }
}

/// Whether a directory on the way has the name of a marker of aufs, which is left out.
bool is_below_aufs_marker(std::string_view directory) {
  while (!directory.empty()) {
    const std::string_view name = take_component(directory);
    if (name.starts_with(kAufsMarker)) return true;
    if (name.starts_with(kMarker)) refuse_entry("a directory has the name of a whiteout");
  }
  return false;
}

bool is_of_estargz(std::string_view directory, std::string_view name) {
  return without_end(directory).empty() &&
         (name == "stargz.index.json" || name == ".prefetch.landmark" ||
          name == ".no.prefetch.landmark");
}

InodeType inode_type(LayerEntry::Type type) {
  switch (type) {
    case LayerEntry::Type::file:
      return InodeType::file;
    case LayerEntry::Type::directory:
      return InodeType::directory;
    case LayerEntry::Type::symlink:
      return InodeType::symlink;
    case LayerEntry::Type::character_device:
      return InodeType::character_device;
    case LayerEntry::Type::block_device:
      return InodeType::block_device;
    case LayerEntry::Type::fifo:
      return InodeType::fifo;
    default:
      refuse_entry("it is of an unknown type");
  }
}

void check_device(const LayerEntry& entry) {
  constexpr std::uint32_t kMaxMajor = (1U << 12) - 1;  // of Linux
  constexpr std::uint32_t kMaxMinor = (1U << 20) - 1;
  if (entry.device_major > kMaxMajor || entry.device_minor > kMaxMinor) {
    refuse_entry("its device number is out of range");
  }
}

}  // namespace

Layers::Layers(FileSystemWriter& writer, const SipKey& key) : writer_(writer), tree_(key) {}

void Layers::begin_layer() {
  if (layer_ == kMaxLayers) refuse_entry("the image has more than 127 layers");
  ++layer_;
}

void Layers::end_layer() {
  std::ranges::sort(dropped_);
  if (!dropped_.empty()) writer_.drop(std::exchange(dropped_, {}));
}

bool Layers::add(const LayerEntry& entry) {
  try {
    return apply(entry);
  } catch (Error& error) {
    if (error.code() == ErrorCode::integrity) {
      error.add_context("cannot unpack " + in_quotes(entry.path));
    }
    throw;
  }
}

bool Layers::apply(const LayerEntry& entry) {
  if (++entries_ > Tree::kMaxEntries) refuse_entry("the image has more than 2000000 entries");
  check_path(entry.path);
  const std::string_view path = without_end(entry.path);
  const std::size_t slash = path.rfind('/');
  Place place{.directory = {}, .name = path};
  if (slash != std::string_view::npos) {
    place = {.directory = path.substr(0, slash), .name = path.substr(slash + 1)};
  }
  if (is_below_aufs_marker(place.directory) || is_of_estargz(place.directory, place.name)) {
    return false;
  }
  if (place.name.starts_with(kMarker)) {
    add_whiteout(entry, place);
    return false;
  }
  if (entry.type == LayerEntry::Type::directory) {
    add_directory(entry, place);
    return false;
  }
  if (place.name.empty()) refuse_entry("the root is not a directory");
  if (entry.type == LayerEntry::Type::hard_link) {
    add_hard_link(entry, place);
    return false;
  }
  return add_node(entry, place);
}

// Those of environments: stream/extract.
void Layers::add_whiteout(const LayerEntry& entry, const Place& place) {
  const bool is_opaque = place.name == kOpaqueMarker;
  if (!is_opaque && place.name.starts_with(kAufsMarker)) return;
  if (entry.type != LayerEntry::Type::file) refuse_entry("a whiteout has to be a regular file");
  const std::string_view hidden = place.name.substr(kMarker.size());
  if (hidden.empty() || hidden == "." || hidden == "..") refuse_entry("the whiteout names no file");
  const EntryId directory = existing_directory(place.directory);
  if (directory == kNone) return;
  if (!is_opaque) {
    if (const EntryId found = tree_.find(directory, hidden); found != kNone) remove(found, layer_);
    return;
  }
  for (EntryId child = tree_.first_child(directory); child != kNone;) {
    remove(std::exchange(child, tree_.next(child)), layer_);
  }
}

void Layers::add_directory(const LayerEntry& entry, const Place& place) {
  const Inode inode = inode_of(entry, InodeType::directory);
  if (place.name.empty()) return tree_.redefine(Tree::kRoot, inode, layer_);
  const EntryId directory = make_parents(place.directory);
  const EntryId found = tree_.find(directory, place.name);
  if (found != kNone && tree_.is_directory(found)) return tree_.redefine(found, inode, layer_);
  put(directory, place.name, tree_.add_inode(inode));
}

void Layers::add_hard_link(const LayerEntry& entry, const Place& place) {
  check_path(entry.link_target);
  // First: it may replace the target.
  const EntryId directory = make_parents(place.directory);
  const std::string_view path = without_end(entry.link_target);
  const std::size_t slash = path.rfind('/');
  const EntryId target_directory =
      existing_directory(path.substr(0, slash == std::string_view::npos ? 0 : slash));
  const EntryId target =
      target_directory == kNone ? kNone : tree_.find(target_directory, path.substr(slash + 1));
  if (target == kNone)
    refuse_entry("it is a hard link to " + in_quotes(path) + ", which is missing");
  if (tree_.is_directory(target))
    refuse_entry("it is a hard link to a directory, " + in_quotes(path));
  if (tree_.find(directory, place.name) == target) return tree_.set_layer(target, layer_);
  if (tree_.inode_of(target).names >= kMaxNames) {
    refuse_entry("it is a hard link to a file with 65000 names");
  }
  put(directory, place.name, tree_.inode_id(target));
}

bool Layers::add_node(const LayerEntry& entry, const Place& place) {
  Inode inode = inode_of(entry, inode_type(entry.type));
  const EntryId directory = make_parents(place.directory);
  if (inode.type == InodeType::character_device && inode.device.major == 0 &&
      inode.device.minor == 0) {
    const EntryId found = tree_.find(directory, place.name);
    if (found != kNone) remove(found, kAllLayers);
    return false;
  }
  if (inode.type == InodeType::file) inode.content = writer_.begin();
  put(directory, place.name, tree_.add_inode(inode));
  return inode.type == InodeType::file;
}

// The new entry is added first: what it replaces may be a directory that holds the inode's only
// name.
void Layers::put(EntryId directory, std::string_view name, InodeId inode) {
  const EntryId replaced = tree_.find(directory, name);
  tree_.add(directory, name, inode, layer_);
  if (replaced != kNone) remove(replaced, kAllLayers);
}

EntryId Layers::make_parents(std::string_view directory) {
  return tree_.walk(directory, [&](EntryId at, std::string_view name, EntryId found) {
    if (found != kNone && tree_.layer(found) == layer_) {
      refuse_entry(in_quotes(tree_.path(found)) + " is not a directory");
    }
    if (found != kNone) remove_entry(found);
    const Inode implied{.permissions = 0755, .type = InodeType::directory, .first_child = kNone};
    return tree_.add(at, name, tree_.add_inode(implied), layer_);
  });
}

EntryId Layers::existing_directory(std::string_view directory) {
  return tree_.walk(directory, [](EntryId, std::string_view, EntryId) { return kNone; });
}

Inode Layers::inode_of(const LayerEntry& entry, InodeType type) {
  constexpr std::uint32_t kPermissions = 07777;
  if (entry.uid > UINT32_MAX || entry.gid > UINT32_MAX) refuse_entry("its owner is out of range");
  Inode inode{.modified = entry.modified,
              .uid = static_cast<std::uint32_t>(entry.uid),
              .gid = static_cast<std::uint32_t>(entry.gid),
              .permissions = static_cast<std::uint16_t>(entry.mode & kPermissions),
              .type = type,
              .device = {}};
  inode.xattrs = tree_.add_xattrs(kept_xattrs(entry));
  switch (type) {
    case InodeType::directory:
      inode.first_child = kNone;
      break;
    case InodeType::symlink:
      if (entry.link_target.empty() || entry.link_target.size() > kMaxTarget ||
          entry.link_target.find('\0') != std::string::npos) {
        refuse_entry("its link target is empty, longer than 4095 bytes, or has a zero byte");
      }
      inode.permissions = 0777;  // as Linux shows all of them
      inode.target = tree_.add_target(entry.link_target);
      break;
    case InodeType::character_device:
    case InodeType::block_device:
      check_device(entry);
      inode.device = {static_cast<std::uint16_t>(entry.device_major), entry.device_minor};
      break;
    default:
      break;
  }
  return inode;
}

// Visits children before their directory, by the tree's own links instead of recursion.
void Layers::remove(EntryId top, unsigned layer) {
  EntryId entry = top;
  bool children_are_done = false;
  while (true) {
    if (!children_are_done && tree_.is_directory(entry) && tree_.first_child(entry) != kNone) {
      entry = tree_.first_child(entry);
      continue;
    }
    tree_.count_steps(1);
    const EntryId parent = tree_.parent(entry);
    const EntryId next = tree_.next(entry);
    const bool is_empty = !tree_.is_directory(entry) || tree_.first_child(entry) == kNone;
    if (is_empty && tree_.layer(entry) < layer) remove_entry(entry);
    if (entry == top) return;
    children_are_done = next == kNone;
    entry = children_are_done ? parent : next;
  }
}

void Layers::remove_entry(EntryId entry) {
  const Inode& inode = tree_.inode(tree_.remove(entry));
  if (inode.names == 0 && inode.type == InodeType::file) dropped_.push_back(inode.content);
}

}  // namespace pyro::image
