// Takes one layer apart.
#include "stream/layer_reader.h"

#include <algorithm>
#include <utility>

#include "base/mib.h"
#include "pyro/error.h"
#include "stream/file_layer_reader.h"
#include "stream/member_path.h"

namespace pyro {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kWhiteoutMetadata = ".wh..wh.";  // of aufs; means nothing here

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::integrity, std::move(message), std::move(hint));
}

std::string_view name_of(TarMember::Type type) {
  if (type == TarMember::Type::device) return "a device";
  return type == TarMember::Type::fifo ? "a FIFO" : "of an unknown type";
}

}  // namespace

std::uint64_t limit_of(const ExtractionLimits& limits, std::size_t kind) noexcept {
  if (kind == kRootfs) return limits.rootfs_bytes;
  return kind == kKernel ? limits.kernel_bytes : limits.initrd_bytes;
}

std::uint64_t most_in_all_files(const ExtractionLimits& limits) noexcept {
  std::uint64_t most = limits.rootfs_bytes;
  for (const std::uint64_t more : {limits.kernel_bytes, limits.initrd_bytes, limits.other_bytes}) {
    most = std::max(most, most + more);  // which may be more than there are numbers
  }
  return most;
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
  const std::uint64_t limit = limit_of(limits, kind);
  if (size <= limit) return;
  refuse((path.empty() ? "it" : in_quotes(path)) + " would take " + mib(size) + "; the limit is " +
             mib(limit),
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
      checksums_(checksums),
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
      return view_.link(path, member.link_target, LinkMap::Kind::symbolic);
    case TarMember::Type::hardlink:
      return view_.link(path, member.link_target, LinkMap::Kind::hard);
    case TarMember::Type::file:
      return file(member, path);
    default:
      return special(member, path);
  }
}

void LayerReader::file(const TarMember& member, const std::string& path) {
  if (base_name_of(path).starts_with(kWhiteout)) return whiteout(path);
  if (const auto role = view_.role_of(path)) return write_artifact(*role, member.size);
  view_.other(path);
}

// What is never made does no harm.
void LayerReader::special(const TarMember& member, const std::string& path) {
  if (view_.role_of(path)) {
    refuse("member " + in_quotes(path) + " is " + std::string(name_of(member.type)));
  }
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

void LayerReader::write_artifact(const MergedView::Role& role, std::uint64_t size) {
  const std::string_view name = base_name_of(role.path);
  in_artifact_ = true;
  artifact_position_ = 0;
  MemberContent content(tar_, size);
  const bool packed = may_be_packed(role.kind, name) && content.is_compressed();
  if (!packed) budget_.check_size(role.kind, role.path, size);
  const std::size_t file = view_.place(role, size);
  if (!packed) budget_.hold(file, size);
  writer_.begin(file, size, std::string(kArtifactKinds[role.kind].name));
  if (!packed) write_plain(content, size);
  in_artifact_ = false;
  if (packed) write_unpacked(content, role, file);
}

void LayerReader::write_plain(MemberContent& content, std::uint64_t size) {
  HoleFinder holes(writer_, size);
  while (const auto data = content.next()) {
    feed(holes, *data);
    artifact_position_ = holes.position();
  }
  holes.finish();
  writer_.end(size);
}

// What its compressed bytes lie in is being decompressed to, so it unpacks to elsewhere.
void LayerReader::write_unpacked(MemberContent& content, const MergedView::Role& role,
                                 std::size_t file) {
  try {
    const auto unpacked =
        open_decompressor([&] { return content.next_bytes(); }, writer_.second_ring(), checksums_,
                          &writer_.second_checksum());
    view_.set_size(file, write_content(*unpacked, role.kind, file, role.path, writer_, budget_));
  } catch (Error& error) {
    error.add_context("cannot unpack " + in_quotes(role.path));
    throw;
  }
}

void LayerReader::feed(HoleFinder& holes, const TarData& data) {
  const bool in_ring = data.bytes.data() >= piece_.data() &&
                       data.bytes.data() + data.bytes.size() <= piece_.data() + piece_.size();
  // Elsewhere means that libarchive joined two blocks in memory of its own.
  holes.feed(data.offset, data.bytes, in_ring ? Lifetime::buffer : Lifetime::call);
}

}  // namespace pyro
