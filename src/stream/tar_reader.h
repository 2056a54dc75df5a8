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
#include <vector>

struct archive;

namespace pyro {

struct TarMember {
  enum class Type { file, directory, symlink, hardlink, device, fifo, other };
  std::string path;  ///< As the archive has it: hostile.
  Type type = Type::file;
  std::uint64_t size = 0;   ///< Of a file, with its holes.
  std::string link_target;  ///< Of a symlink or hardlink.
};

/// A piece of a member's content; what lies between two pieces is a hole of a sparse member.
struct TarData {
  std::uint64_t offset = 0;
  std::span<const std::byte> bytes;  ///< Within the block that was read last, where possible.
};

/// Reads one tar stream: ustar, pax, GNU, v7, with sparse members in all their forms. No bytes at
/// all are an archive of no members.
///
/// Whatever libarchive warns of is an error here, except for names in odd character sets. A header
/// may take at most kMostHeaderBytes, and a sparse map say no more than there is.
class TarReader {
 public:
  /// Headers carry no more than a path, a link and a sparse map; libarchive itself bounds a pax
  /// header at 1 MiB but not the map in front of a sparse member's data.
  static constexpr std::uint64_t kMostHeaderBytes = 4U << 20;

  /// Gives the next block of the stream, valid until the next call; empty at its end. Throws
  /// through.
  using BlockSource = std::function<std::span<const std::byte>()>;

  explicit TarReader(BlockSource source);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next member; nothing at the end of the archive. Skips what is left of the last one.
  /// @throws Error(integrity)
  [[nodiscard]] std::optional<TarMember> next();

  /// The next piece of the current member; nothing at its end.
  /// @throws Error(integrity)
  [[nodiscard]] std::optional<TarData> next_data();

  /// Reads the stream to its very end: behind the archive only zeros may follow.
  /// @throws Error(integrity)
  void finish();

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

}  // namespace pyro
