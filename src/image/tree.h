// The files of an image: names, attributes and links, without contents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "image/file_system_writer.h"
#include "image/sip_hash.h"

namespace pyro::image {

using EntryId = std::uint32_t;
using InodeId = std::uint32_t;
using TextId = std::uint32_t;
inline constexpr std::uint32_t kNone = UINT32_MAX;

struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;

  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

struct Xattr {
  std::string name;
  std::string value;

  friend bool operator==(const Xattr&, const Xattr&) = default;
};

enum class InodeType : std::uint8_t {
  file,
  directory,
  symlink,
  character_device,
  block_device,
  fifo,
};

/// What one or more names stand for.
struct Inode {
  Timestamp modified = {};
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t names = 0;  ///< Kept by the tree.
  TextId xattrs = kNone;
  std::uint16_t permissions = 0;  ///< With the setuid, setgid and sticky bits.
  InodeType type = InodeType::file;
  union {
    FileId content;       ///< Of a file.
    TextId target;        ///< Of a symlink.
    EntryId first_child;  ///< Of a directory; kept by the tree.
    struct {
      std::uint16_t major;
      std::uint32_t minor;
    } device = {0, 0};
  };
  EntryId last_child = kNone;  ///< Of a directory; kept by the tree.
};

/// Texts that live as long as their pool, at addresses that do not change.
class TextPool {
 public:
  static constexpr std::size_t kChunk = std::size_t{256} << 10;

  /// At most kChunk bytes.
  [[nodiscard]] TextId add(std::string_view text);
  [[nodiscard]] std::string_view get(TextId text, std::size_t size) const {
    return {&chunks_[text / kChunk][text % kChunk], size};
  }
  [[nodiscard]] std::size_t memory() const { return chunks_.size() * kChunk; }

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t used_ = kChunk;  // of the last chunk
};

/// Siblings keep the order in which they were added, whatever the key of the name table is.
///
/// Nothing here recurses. All functions that add or look up throw Error(integrity) above a limit.
class Tree {
 public:
  static constexpr EntryId kRoot = 0;
  static constexpr std::size_t kMaxEntries = 2'000'000;  ///< Including those that were removed.
  static constexpr std::size_t kMaxMemory = std::size_t{512} << 20;
  static constexpr std::size_t kMaxName = 255;
  static constexpr std::size_t kMaxPath = 4096;
  static constexpr unsigned kMaxDepth = 512;
  static constexpr unsigned kMaxLinksFollowed = 40;
  /// Path components looked at and entries visited, of all calls together.
  static constexpr std::uint64_t kMaxSteps = 64 * kMaxEntries;

  /// The root is an empty directory of root's with mode 0755. `key`: of the name table.
  explicit Tree(const SipKey& key = random_key());

  // --- reading ---

  [[nodiscard]] std::string_view name(EntryId entry) const {
    return text_.get(entries_[entry].name, entries_[entry].name_size);
  }
  /// The root is its own parent.
  [[nodiscard]] EntryId parent(EntryId entry) const { return entries_[entry].parent; }
  [[nodiscard]] EntryId next(EntryId entry) const { return entries_[entry].next; }
  /// Of a directory; kNone when it is empty.
  [[nodiscard]] EntryId first_child(EntryId entry) const { return inode_of(entry).first_child; }
  [[nodiscard]] InodeId inode_id(EntryId entry) const { return entries_[entry].inode; }
  [[nodiscard]] const Inode& inode(InodeId inode) const { return inodes_[inode]; }
  [[nodiscard]] const Inode& inode_of(EntryId entry) const { return inodes_[inode_id(entry)]; }
  [[nodiscard]] bool is_directory(EntryId entry) const {
    return inode_of(entry).type == InodeType::directory;
  }
  /// The layer that last defined the entry.
  [[nodiscard]] unsigned layer(EntryId entry) const { return entries_[entry].layer; }
  [[nodiscard]] std::string_view target(const Inode& symlink) const;
  [[nodiscard]] std::vector<Xattr> xattrs(const Inode& inode) const;
  /// "/usr/bin/env", for messages.
  [[nodiscard]] std::string path(EntryId entry) const;
  /// The number of inodes that were ever added.
  [[nodiscard]] std::size_t inodes() const { return inodes_.size(); }
  [[nodiscard]] std::size_t memory() const;

  /// kNone when there is none.
  [[nodiscard]] EntryId find(EntryId directory, std::string_view name) const;

  /// What walk() makes of a component that is missing (`found` is kNone) or not a directory.
  /// Returns the directory to continue in, or kNone to end the walk.
  using OnNoDirectory =
      std::function<EntryId(EntryId directory, std::string_view name, EntryId found)>;

  /// The directory at `path`, with all symbolic links followed within the tree; kNone if
  /// `on_no_directory` ended the walk.
  [[nodiscard]] EntryId walk(std::string_view path, const OnNoDirectory& on_no_directory);

  /// Counts `steps` against kMaxSteps.
  void count_steps(std::uint64_t steps);
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

  // --- changing ---

  /// `text` with its size, as target() reads it.
  [[nodiscard]] TextId add_target(std::string_view text);
  [[nodiscard]] TextId add_xattrs(const std::vector<Xattr>& xattrs);

  [[nodiscard]] InodeId add_inode(const Inode& inode);
  /// Gives an inode a name. An entry of that name may be there: it has to be removed next.
  EntryId add(EntryId directory, std::string_view name, InodeId inode, unsigned layer);
  /// Not a directory with entries. Returns the inode, which may have no name left.
  InodeId remove(EntryId entry);
  /// Replaces the attributes of a directory; its entries stay.
  void redefine(EntryId directory, const Inode& attributes, unsigned layer);
  void set_layer(EntryId entry, unsigned layer);

  [[nodiscard]] static SipKey random_key();

 private:
  struct Entry {
    TextId name = kNone;
    EntryId parent = kNone;
    EntryId next = kNone;
    EntryId previous = kNone;
    EntryId chain = kNone;  // the next one in the same bucket
    InodeId inode = kNone;
    std::uint16_t depth = 0;
    std::uint8_t name_size = 0;
    std::uint8_t layer = 0;
  };

  [[nodiscard]] TextId add_sized(std::string_view text);
  [[nodiscard]] std::size_t bucket(EntryId directory, std::string_view name) const;
  void insert_into_bucket(EntryId entry);
  void remove_from_bucket(EntryId entry);
  void grow_buckets();
  void check_memory() const;

  const SipKey key_;
  TextPool text_;
  std::deque<Entry> entries_;
  std::deque<Inode> inodes_;
  std::vector<EntryId> buckets_;
  std::size_t in_buckets_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace pyro::image
