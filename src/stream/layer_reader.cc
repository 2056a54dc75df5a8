// Takes one layer apart.
#include "stream/layer_reader.h"

#include <algorithm>
#include <utility>

#include "base/mib.h"
#include "pyro/error.h"
#include "stream/member_path.h"

namespace pyro {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kWhiteoutMetadata = ".wh..wh.";  // of aufs; means nothing here

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::integrity, std::move(message), std::move(hint));
}

void check_link(const TarMember& member, const std::string& path) {
  if (artifact_index(base_name_of(path))) {
    refuse("artifact " + in_quotes(path) + " is a link", "archives must hold the files themselves");
  }
  const bool inside = member.type == TarMember::Type::symlink
                          ? link_stays_inside(path, member.link_target)
                          : link_stays_inside("", member.link_target);
  if (!inside) {
    refuse("link " + in_quotes(path) + " points out of the archive, to " +
           in_quotes(member.link_target));
  }
}

}  // namespace

std::uint64_t most_in_all_files(const ExtractionLimits& limits) noexcept {
  std::uint64_t most = limits.rootfs_bytes;
  for (const std::uint64_t more : {limits.kernel_bytes, limits.initrd_bytes, limits.other_bytes}) {
    most = std::max(most, most + more);  // which may be more than there are numbers
  }
  return most;
}

std::uint64_t ExtractionBudget::limit_of(std::size_t kind) const noexcept {
  if (kind == kRootfs) return limits.rootfs_bytes;
  return kind == kKernel ? limits.kernel_bytes : limits.initrd_bytes;
}

void ExtractionBudget::count_member() {
  if (++members > limits.members) {
    refuse("it has more than " + std::to_string(limits.members) + " members");
  }
}

void ExtractionBudget::count_other(std::size_t bytes) {
  other_bytes += bytes;
  if (other_bytes > limits.other_bytes) {
    refuse("it unpacks to more than " + mib(limits.other_bytes) + " beside the artifacts");
  }
}

void ExtractionBudget::check_size(std::size_t kind, std::string_view path,
                                  std::uint64_t size) const {
  const std::uint64_t limit = limit_of(kind);
  if (size <= limit) return;
  refuse(in_quotes(path) + " would take " + mib(size) + "; the limit is " + mib(limit),
         kind == kRootfs ? "raise it with --max-size" : "");
}

void ExtractionBudget::hold(std::size_t file, std::uint64_t size) {
  held.at(file) = size;
  const std::uint64_t most = most_in_all_files(limits);
  std::uint64_t left = most;
  for (const std::uint64_t bytes : held) {
    if (bytes > left) refuse("its artifacts take more than " + mib(most) + " together");
    left -= bytes;
  }
}

LayerReader::LayerReader(ByteSource source, Checksums checksums, MergedView& view,
                         ArtifactWriter& writer, ExtractionBudget& budget)
    : decompressor_(
          open_decompressor(std::move(source), writer.ring(), checksums, &writer.checksum())),
      view_(view),
      writer_(writer),
      budget_(budget),
      tar_([this] { return next_block(); }) {}

void LayerReader::run() {
  view_.begin_layer();
  while (const auto next = tar_.next()) {
    budget_.count_member();
    member(*next);
  }
  tar_.finish();
}

// Within an artifact pieces end with a block of the file, so that no block is split between two.
std::span<const std::byte> LayerReader::next_block() {
  writer_.pass_on();
  piece_ = decompressor_->next(in_artifact_ ? artifact_position_ : 0);
  if (!in_artifact_) budget_.count_other(piece_.size());
  return piece_;
}

void LayerReader::member(const TarMember& member) {
  const std::string path = normal_member_path(member.path);
  switch (member.type) {
    case TarMember::Type::directory:
      return view_.directory(path);
    case TarMember::Type::symlink:
    case TarMember::Type::hardlink:
      check_link(member, path);
      return view_.other(path);
    case TarMember::Type::device:
      refuse("member " + in_quotes(path) + " is a device");
    case TarMember::Type::fifo:
      refuse("member " + in_quotes(path) + " is a FIFO");
    case TarMember::Type::other:
      refuse("member " + in_quotes(path) + " is of an unknown type");
    case TarMember::Type::file:
      return file(member, path);
  }
}

void LayerReader::file(const TarMember& member, const std::string& path) {
  const std::string_view name = base_name_of(path);
  if (name.starts_with(kWhiteout)) return whiteout(path);
  if (const auto kind = artifact_index(name)) return write_artifact(*kind, member, path);
  view_.other(path);
}

void LayerReader::whiteout(std::string_view path) {
  const std::string_view name = base_name_of(path);
  const std::string_view directory = parent_of(path);
  if (name == kOpaque) return view_.opaque(directory);
  if (name.starts_with(kWhiteoutMetadata)) return;
  std::string hidden(directory);
  if (!hidden.empty()) hidden += '/';
  view_.whiteout(hidden += name.substr(kWhiteout.size()));
}

void LayerReader::write_artifact(std::size_t kind, const TarMember& member,
                                 const std::string& path) {
  budget_.check_size(kind, path, member.size);
  const std::size_t file = view_.place(kind, path, member.size);
  budget_.hold(file, member.size);
  writer_.begin(file, member.size, path);
  HoleFinder holes(writer_, member.size);
  in_artifact_ = true;
  artifact_position_ = 0;
  while (const auto data = tar_.next_data()) {
    feed(holes, *data);
    artifact_position_ = holes.position();
  }
  in_artifact_ = false;
  holes.finish();
  writer_.end(member.size);
}

void LayerReader::feed(HoleFinder& holes, const TarData& data) {
  const bool in_ring = data.bytes.data() >= piece_.data() &&
                       data.bytes.data() + data.bytes.size() <= piece_.data() + piece_.size();
  // Elsewhere means that libarchive joined two blocks in memory of its own.
  holes.feed(data.offset, data.bytes, in_ring ? Lifetime::buffer : Lifetime::call);
}

}  // namespace pyro
