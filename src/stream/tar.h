// A tar stream as members and data blocks: libarchive with nothing but its tar reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct archive;
struct archive_entry;

namespace pyro {

struct TarMember {
  enum class Type { file, directory, symlink, hardlink, device, fifo, other };
  std::string path;  ///< As the archive has it: hostile.
  Type type = Type::file;
  std::uint64_t size = 0;   ///< Of a file, with its holes.
  std::string link_target;  ///< Of a symlink or hardlink.
};

/// What a file system keeps of a member beside its content.
struct TarAttributes {
  std::uint32_t mode = 0;  ///< With the setuid, setgid and sticky bits, without the type.
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::int64_t modified_seconds = 0;
  std::uint32_t modified_nanoseconds = 0;
  bool is_block_device = false;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs = {};
  std::string access_acl = {};   ///< As text, with numeric ids behind names; empty without one.
  std::string default_acl = {};  ///< The same of a directory.
};

/// A piece of a member's content; a gap between two pieces is a hole of a sparse member.
struct TarData {
  std::uint64_t offset = 0;
  std::span<const std::byte> bytes;  ///< Within the last block that was read, where possible.
};

/// Reads one tar stream: ustar, pax, GNU, v7, with sparse members in all their forms. An empty
/// stream is an archive of no members.
///
/// Warnings of libarchive are errors here, except for names in odd character sets. A header may
/// take at most kMaxHeaderBytes, and a sparse map must not claim more data than there is.
class TarReader {
 public:
  /// Headers carry a path, a link and a sparse map; libarchive itself bounds a pax header at 1 MiB
  /// but not the map in front of a sparse member's data.
  static constexpr std::uint64_t kMaxHeaderBytes = 4U << 20;

  /// Returns the next block of the stream, valid until the next call; empty at its end. May throw.
  using BlockSource = std::function<std::span<const std::byte>()>;

  explicit TarReader(BlockSource source);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next member; nothing at the end of the archive. Skips the rest of the last one.
  /// @throws Error(integrity)
  [[nodiscard]] std::optional<TarMember> next();

  /// The attributes of the current member.
  [[nodiscard]] TarAttributes attributes() const;

  /// The next piece of the current member; nothing at its end.
  /// @throws Error(integrity)
  [[nodiscard]] std::optional<TarData> next_data();

  /// Reads the stream to its end: only zeros may follow the archive.
  /// @throws Error(integrity)
  void finish();

  /// Whether the archive has a record that marks its end, after next() found no more members.
  /// Without one it may have been cut off between two members.
  [[nodiscard]] bool has_end() const { return consumed() > header_at_; }

 private:
  static long read_block(archive* handle, void* self, const void** block);
  void check(int result);
  [[noreturn]] void fail();
  [[noreturn]] void refuse_other_content() const;
  void require_zeros(std::span<const std::byte> bytes) const;
  void keep_head();
  void keep_tail();
  [[nodiscard]] std::uint64_t consumed() const;
  [[nodiscard]] std::span<const std::byte> unread() const;
  void check_end_blocks() const;
  void check_claim() const;

  struct Free {
    void operator()(archive* handle) const;
  };
  BlockSource source_;
  std::unique_ptr<archive, Free> archive_;
  archive_entry* entry_ = nullptr;    // of the current member; libarchive's
  std::span<const std::byte> block_;  // the last that libarchive got
  std::vector<std::byte> tail_;       // the end of those before
  std::vector<std::byte> head_;       // the beginning of the stream
  std::uint64_t header_at_ = 0;       // where the header that was read last begins
  std::uint64_t delivered_ = 0;       // bytes libarchive got so far
  std::uint64_t header_limit_ = 0;    // of delivered_, while a header is read; else 0
  bool is_empty_ = false;             // the stream; libarchive takes that for no format at all
  bool has_map_ = false;              // of the current member: it is sparse
  std::uint64_t claimed_ = 0;         // bytes it holds by its map, or its size
  std::uint64_t held_ = 0;            // ... and those that came so far
  bool in_member_ = false;            // libarchive allows no skipping before the first
  std::exception_ptr failure_;        // of the source, parked while C is on the stack
};

/// The content of the last member of a TarReader, whose first bytes can be looked at. Pieces are
/// those of TarReader; only first ones that are too short to be looked at are copied.
class MemberContent {
 public:
  /// Throws exceptions of the reader, as the other functions do.
  MemberContent(TarReader& tar, std::uint64_t size);

  /// Whether it begins as gzip, zstd, xz or bzip2 do.
  [[nodiscard]] bool is_compressed() const;

  /// The next piece; nothing at the end.
  [[nodiscard]] std::optional<TarData> next();

  /// The next bytes, with holes as zeros; empty at the end. Do not mix with next().
  [[nodiscard]] std::span<const std::byte> next_bytes();

 private:
  [[nodiscard]] std::span<const std::byte> zeros_up_to(std::uint64_t offset);

  TarReader& tar_;
  std::uint64_t size_;
  std::vector<std::byte> front_;  // pieces that were too short
  bool front_given_ = false;
  std::optional<TarData> ahead_;  // the next one
  // Of next_bytes().
  std::optional<TarData> current_;
  std::uint64_t position_ = 0;
  bool ended_ = false;
};

// --- names of members: compared, never opened ---

/// "./a//b/" becomes "a/b"; the archive's top is "".
/// @throws Error(integrity) for an absolute name and for one with a ".." component.
[[nodiscard]] std::string normal_member_path(std::string_view name);

/// "a/b" of "a" and "b"; "b" of "" and "b".
[[nodiscard]] std::string joined(std::string_view directory, std::string_view name);

/// "a/b" of "a/b/c"; "" of "c".
[[nodiscard]] std::string_view parent_of(std::string_view path);
/// "c" of "a/b/c".
[[nodiscard]] std::string_view base_name_of(std::string_view path);
/// Whether `path` lies below `directory`; everything lies below "".
[[nodiscard]] bool is_below(std::string_view path, std::string_view directory);
/// The number of folders above it.
[[nodiscard]] std::size_t depth_of(std::string_view path);

}  // namespace pyro
