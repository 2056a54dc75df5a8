// Takes one layer apart: finds its artifacts, checks the rest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pyro/limits.h"
#include "stream/artifact_writer.h"
#include "stream/decompress.h"
#include "stream/member_content.h"
#include "stream/merged_view.h"
#include "stream/tar_reader.h"

namespace pyro {

/// Of the apparent size of an artifact of that kind.
[[nodiscard]] std::uint64_t limit_of(const ExtractionLimits& limits, std::size_t kind) noexcept;

/// What the files of all candidates may hold together: one artifact of each kind, and as much of
/// others as of any other bytes.
[[nodiscard]] std::uint64_t most_in_all_files(const ExtractionLimits& limits) noexcept;

/// What all layers of one pull may take together.
struct ExtractionBudget {
  const ExtractionLimits& limits;
  std::uint64_t members = 0;
  std::uint64_t other_bytes = 0;
  std::array<std::uint64_t, MergedView::kFiles> held = {};  // by file

  /// @throws Error(integrity) as do the others, when that is more than there may be
  void count_member();
  void count_other(std::size_t bytes);
  void check_size(std::size_t kind, std::string_view path, std::uint64_t size) const;
  /// That `file` is `size` long.
  void hold(std::size_t file, std::uint64_t size);
};

/// Reads one compressed layer to its end. Only artifacts are written, into files that are open
/// already; names are compared, never opened (spec section 6, "Members").
class LayerReader {
 public:
  LayerReader(ByteSource source, Checksums checksums, MergedView& view, ArtifactWriter& writer,
              ExtractionBudget& budget);

  /// @throws Error(integrity)
  void run();

 private:
  [[nodiscard]] std::span<const std::byte> next_block();
  void member(const TarMember& member);
  void whiteout(std::string_view path);
  void file(const TarMember& member, const std::string& path);
  void special(const TarMember& member, const std::string& path);
  void write_artifact(const MergedView::Role& role, std::uint64_t size);
  void write_plain(MemberContent& content, std::uint64_t size);
  void write_unpacked(MemberContent& content, const MergedView::Role& role, std::size_t file);
  void feed(HoleFinder& holes, const TarData& data);

  std::unique_ptr<Decompressor> decompressor_;
  const Checksums checksums_;
  MergedView& view_;
  ArtifactWriter& writer_;
  ExtractionBudget& budget_;
  std::span<const std::byte> piece_;     // given to the tar reader last
  std::uint64_t artifact_position_ = 0;  // in the artifact being written
  bool in_artifact_ = false;
  TarReader tar_;  // last: it reads from all the others
};

}  // namespace pyro
