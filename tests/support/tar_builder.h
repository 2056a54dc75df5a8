// Builds tar streams byte by byte, so that malformed ones can be made as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyro::testing {

enum class TarMagic { ustar, gnu, v7 };

/// What the next member's header says instead of the plain truth.
struct HeaderTweaks {
  std::optional<std::uint64_t> claimed_size = {};  ///< The data that follows stays what it is.
  bool base256_size = false;                       ///< Binary, as for sizes of 8 GiB and more.
  bool wrong_checksum = false;
  std::optional<char> type = {};
  std::optional<unsigned> mode = {};
  std::optional<TarMagic> magic = {};
  std::string prefix = {};  ///< ustar's second name field.
  /// (offset, bytes) written over the header before its checksum is made: any field, any nonsense.
  std::vector<std::pair<std::size_t, std::string>> patches = {};
};

struct SparseExtent {
  std::int64_t offset;
  std::int64_t size;
};

/// The map and the stored bytes need not agree: hostile ones do not.
struct SparseFile {
  std::int64_t size = 0;  ///< With holes.
  std::vector<SparseExtent> extents = {};
  std::string stored = {};  ///< The extents' bytes one after the other.
};

/// `content` with each run of zero blocks as a hole.
SparseFile sparse_file(std::string_view content, std::size_t block = 4096);

enum class SparseFormat { gnu_old, pax_0_0, pax_0_1, pax_1_0 };

using PaxRecords = std::vector<std::pair<std::string, std::string>>;

/// One record as pax writes it: "LENGTH KEY=VALUE\n".
std::string pax_record(const std::string& key, const std::string& value);

/// Each method but the last two adds a member and returns the builder:
///   TarBuilder().file("vmlinux", kernel).symlink("kernel", "vmlinux").finish()
/// Names longer than the header's 100 bytes are cut off there, so put pax() or gnu_long_name()
/// before such a member.
class TarBuilder {
 public:
  TarBuilder& file(std::string_view name, std::string_view content);
  TarBuilder& directory(std::string_view name);
  TarBuilder& symlink(std::string_view name, std::string_view target);
  TarBuilder& hardlink(std::string_view name, std::string_view target);
  TarBuilder& char_device(std::string_view name, unsigned major = 1, unsigned minor = 3);
  TarBuilder& block_device(std::string_view name, unsigned major = 7, unsigned minor = 0);
  TarBuilder& fifo(std::string_view name);
  TarBuilder& sparse(SparseFormat format, std::string_view name, const SparseFile& file);
  /// A member of any type: unknown ones, contiguous files ('7'), volume labels ('V') and so on.
  TarBuilder& member(char type, std::string_view name, std::string_view content = {},
                     std::string_view link_target = {});

  /// A layer's mark that `path` (all below `directory`, for the opaque one) of lower layers is
  /// gone.
  TarBuilder& whiteout(std::string_view path);
  TarBuilder& opaque_whiteout(std::string_view directory);

  /// Extended headers. They concern the member that follows, or with pax_global() all of them.
  TarBuilder& pax(const PaxRecords& records);
  TarBuilder& pax_global(const PaxRecords& records);
  TarBuilder& pax_raw(std::string_view body, char type = 'x');
  TarBuilder& gnu_long_name(std::string_view name);
  TarBuilder& gnu_long_link(std::string_view target);

  /// Applies to the next header only, also to that of an extended header.
  TarBuilder& tweak(HeaderTweaks tweaks);

  /// Bytes as they are, between members.
  TarBuilder& raw(std::string_view bytes);

  /// The archive with its two end blocks, filled with zeros to whole records (GNU's: 10240).
  std::string finish(std::size_t record_size = 512) const;
  /// The archive without end blocks.
  std::string unfinished() const { return tar_; }

 private:
  void append_padded(std::string_view content);
  TarBuilder& gnu_old_sparse(std::string_view name, const SparseFile& file);

  std::string tar_;
  HeaderTweaks tweaks_;
};

}  // namespace pyro::testing
