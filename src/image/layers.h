// The layers of an image, laid over each other.
//
// Source: OCI image-spec, layer.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/file_system_writer.h"
#include "image/tree.h"

namespace pyro::image {

/// A member of a layer's archive, as that has it: hostile.
struct LayerEntry {
  enum class Type {
    file,
    directory,
    symlink,
    hard_link,
    character_device,
    block_device,
    fifo,
    other,
  };
  std::string path;
  Type type = Type::file;
  std::uint32_t mode = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  Timestamp modified = {};
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::string link_target = {};  ///< Of a symlink or hard link.
  std::vector<Xattr> xattrs = {};
  std::string access_acl = {};   ///< Text: SCHILY.acl.access.
  std::string default_acl = {};  ///< SCHILY.acl.default.
};

/// Layers are added from the bottom. An entry replaces the one at its path, with all below it; a
/// directory over a directory replaces the attributes alone. The last of two entries of one path in
/// a layer wins. Parents are resolved through the image's own symbolic links, never outside, and
/// missing ones are made (root's, 0755, of 1970).
///
/// Whiteouts and opaque markers hide what lower layers have, wherever they stand in their layer. A
/// directory of a lower layer that holds an entry of the current one stays.
///
/// Left out are device 0:0, which overlayfs takes for a whiteout, attributes that would mislead the
/// guest's overlayfs or belong to another system's policy, and the index files of eStargz.
class Layers {
 public:
  static constexpr unsigned kMaxLayers = 127;
  static constexpr std::uint32_t kMaxNames = 65'000;  ///< Of one file: hard links.
  static constexpr std::size_t kMaxTarget = 4095;
  static constexpr std::size_t kMaxXattrBytes = std::size_t{64} << 10;  ///< Read, of one file.

  /// `writer` must outlive it. `key`: of the tree's name table.
  explicit Layers(FileSystemWriter& writer, const SipKey& key = Tree::random_key());

  /// @throws Error(integrity) above kMaxLayers
  void begin_layer();

  /// True for a regular file, which the writer has begun: the caller writes its content and ends it
  /// before the next call.
  /// @throws Error(integrity), which names the path
  [[nodiscard]] bool add(const LayerEntry& entry);

  /// Has the contents dropped that the layer replaced or hid.
  void end_layer();

  [[nodiscard]] const Tree& tree() const noexcept { return tree_; }

 private:
  /// Where an entry goes.
  struct Place {
    std::string_view directory;
    std::string_view name;  ///< Empty for the root.
  };

  bool apply(const LayerEntry& entry);
  void add_whiteout(const LayerEntry& entry, const Place& place);
  void add_directory(const LayerEntry& entry, const Place& place);
  void add_hard_link(const LayerEntry& entry, const Place& place);
  bool add_node(const LayerEntry& entry, const Place& place);
  void put(EntryId directory, std::string_view name, InodeId inode);
  [[nodiscard]] EntryId make_parents(std::string_view directory);
  [[nodiscard]] EntryId existing_directory(std::string_view directory);
  [[nodiscard]] Inode inode_of(const LayerEntry& entry, InodeType type);

  /// Removes `top` and all entries below it, as far as they are of layers below `layer`.
  void remove(EntryId top, unsigned layer);
  void remove_entry(EntryId entry);

  FileSystemWriter& writer_;
  Tree tree_;
  unsigned layer_ = 0;  // the first is 1; the root that no layer has is of 0
  std::size_t entries_ = 0;
  std::vector<FileId> dropped_;
};

/// The extended attributes of an entry that are kept, sorted by name: with POSIX ACLs as
/// attributes, without what the guest would misread.
/// @throws Error(integrity)
[[nodiscard]] std::vector<Xattr> kept_xattrs(const LayerEntry& entry);

}  // namespace pyro::image
