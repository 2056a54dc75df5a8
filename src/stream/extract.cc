// Extracts artifacts from compressed layers.
#include "stream/extract.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "pyro/error.h"
#include "stream/artifact_writer.h"
#include "stream/tar.h"

namespace pyro {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kAufsMarker = ".wh..wh.";  // of aufs: means nothing here

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::integrity, std::move(message), std::move(hint));
}

std::string_view name_of(TarMember::Type type) {
  if (type == TarMember::Type::device) return "a device";
  return type == TarMember::Type::fifo ? "a FIFO" : "of an unknown type";
}

/// The limits of all layers of one pull together. The functions throw Error(integrity) above them.
struct ExtractionBudget {
  const ExtractionLimits& limits;
  std::uint64_t members = 0;
  std::uint64_t other_bytes = 0;
  std::array<std::uint64_t, MergedView::kFiles> held = {};  // by file

  void count_member();
  void count_other(std::size_t bytes);
  void check_size(std::size_t kind, std::string_view path, std::uint64_t size) const;
  /// `file` has `size` bytes.
  void note_size(std::size_t file, std::uint64_t size);
};

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

void ExtractionBudget::note_size(std::size_t file, std::uint64_t size) {
  held.at(file) = size;
  const std::uint64_t most = max_total_size(limits);
  std::uint64_t left = most;
  for (const std::uint64_t bytes : held) {
    if (bytes > left) refuse("its artifacts take more than " + mib(most) + " together");
    left -= bytes;
  }
}

/// Writes the content of an artifact to `file`, which was begun last, and ends the file. Returns
/// the size, which is known at the end only. Errors name it `path`; empty for an archive.
std::uint64_t write_content(Decompressor& content, std::size_t kind, std::size_t file,
                            std::string_view path, ArtifactWriter& writer,
                            ExtractionBudget& budget) {
  HoleFinder holes(writer, limit_of(budget.limits, kind));
  while (true) {
    writer.pass_on();
    const auto piece = content.next(holes.position());
    if (piece.empty()) break;
    budget.check_size(kind, path, holes.position() + piece.size());
    budget.note_size(file, holes.position() + piece.size());
    holes.feed(holes.position(), piece, Lifetime::buffer);
  }
  holes.finish_here();
  writer.end(holes.position());
  return holes.position();
}

/// Reads one compressed tar to its end. Only artifacts are written, into files that are open
/// already; names are compared, never opened.
class LayerReader {
 public:
  LayerReader(ByteSource source, Checksums checksums, MergedView& view, ArtifactWriter& writer,
              ExtractionBudget& budget);

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
  std::span<const std::byte> piece_;     // the last one of the tar reader
  std::uint64_t artifact_position_ = 0;  // in the artifact being written
  bool in_artifact_ = false;
  TarReader tar_;  // last: it reads from all the others
};

LayerReader::LayerReader(ByteSource source, Checksums checksums, MergedView& view,
                         ArtifactWriter& writer, ExtractionBudget& budget)
    : decompressor_(open_decompressor(std::move(source), writer.ring(), checksums)),
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

// A device or pipe that is never made does no harm.
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
  if (name.starts_with(kAufsMarker)) return;
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
  if (!packed) budget_.note_size(file, size);
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

// Into the second ring: the first one holds the compressed bytes.
void LayerReader::write_unpacked(MemberContent& content, const MergedView::Role& role,
                                 std::size_t file) {
  try {
    const auto unpacked =
        open_decompressor([&] { return content.next_bytes(); }, writer_.second_ring(), checksums_);
    view_.set_size(file, write_content(*unpacked, role.kind, file, role.path, writer_, budget_));
  } catch (Error& error) {
    error.add_context("cannot unpack " + in_quotes(role.path));
    throw;
  }
}

void LayerReader::feed(HoleFinder& holes, const TarData& data) {
  const bool in_ring = data.bytes.data() >= piece_.data() &&
                       data.bytes.data() + data.bytes.size() <= piece_.data() + piece_.size();
  // Outside of it are two blocks that libarchive joined in its own memory.
  holes.feed(data.offset, data.bytes, in_ring ? Lifetime::buffer : Lifetime::call);
}

std::unique_ptr<Decompressor> open_layer(ByteSource source, const LayerForm& form,
                                         ArtifactWriter& writer) {
  // An initrd.img is a compressed file by itself.
  if (form.shape == LayerForm::Shape::file && form.artifact == kInitrd) {
    return open_plain(std::move(source), writer.ring());
  }
  return open_decompressor(std::move(source), writer.ring(), form.checksums);
}

/// Reads a layer that is one artifact, or an archive to be unpacked as a whole. The size of its
/// content.
std::uint64_t read_file_layer(ByteSource source, const LayerForm& form, MergedView& view,
                              ArtifactWriter& writer, ExtractionBudget& budget) {
  const bool is_archive = form.shape == LayerForm::Shape::archive;
  const std::size_t kind = is_archive ? kRootfs : form.artifact;
  const std::string name(kArtifactKinds.at(kind).name);
  const auto content = open_layer(std::move(source), form, writer);
  view.begin_layer();
  budget.count_member();
  const std::size_t file = view.place({kind, name}, 0);
  writer.begin(file, 0, name);
  const std::uint64_t size =
      write_content(*content, kind, file, is_archive ? std::string_view() : name, writer, budget);
  view.set_size(file, size);
  return size;
}

}  // namespace

std::uint64_t limit_of(const ExtractionLimits& limits, std::size_t kind) noexcept {
  if (kind == kRootfs) return limits.rootfs_bytes;
  return kind == kKernel ? limits.kernel_bytes : limits.initrd_bytes;
}

std::uint64_t max_total_size(const ExtractionLimits& limits) noexcept {
  std::uint64_t most = limits.rootfs_bytes;
  for (const std::uint64_t more : {limits.kernel_bytes, limits.initrd_bytes, limits.other_bytes}) {
    most = std::max(most, most + more);  // which may be more than there are numbers
  }
  return most;
}

Extracted extract_layers(LayerStream& layers, std::vector<int> files,
                         const ExtractionLimits& limits, std::vector<LinkTarget> targets) {
  ArtifactWriter writer(std::move(files));
  return extract_layers(layers, writer, limits, std::move(targets));
}

Extracted extract_layers(LayerStream& layers, ArtifactWriter& writer,
                         const ExtractionLimits& limits, std::vector<LinkTarget> targets) {
  MergedView view(std::move(targets));
  ExtractionBudget budget{limits};
  const auto bytes = [&] { return layers.next(); };
  std::optional<std::uint64_t> archive_size;
  while (const auto form = layers.next_layer()) {
    if (form->shape == LayerForm::Shape::tar) {
      LayerReader(bytes, form->checksums, view, writer, budget).run();
    } else {
      const std::uint64_t size = read_file_layer(bytes, *form, view, writer, budget);
      if (form->shape == LayerForm::Shape::archive) archive_size = size;
    }
  }
  if (archive_size) {
    const Digest digest = writer.finish()[kArchiveFile].value();
    return {.archive = WrittenArtifact{kRootfs, kArchiveFile, *archive_size, digest}};
  }
  MergedView::Outcome outcome = view.choose();
  const auto digests = writer.finish();
  if (!outcome.missing.empty()) return {.missing = std::move(outcome.missing)};
  Extracted extracted;
  for (const MergedView::Choice& choice : outcome.choices) {
    extracted.artifacts.push_back(
        {choice.kind, choice.file, choice.size, digests[choice.file].value()});
  }
  return extracted;
}

}  // namespace pyro
