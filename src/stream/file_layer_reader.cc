// Takes a layer that is one artifact.
#include "stream/file_layer_reader.h"

#include <string>
#include <utility>

namespace pyro {
namespace {

std::unique_ptr<Decompressor> open_layer(ByteSource source, const LayerForm& form,
                                         ArtifactWriter& writer) {
  // An initrd.img is a compressed file by itself.
  if (form.shape == LayerForm::Shape::file && form.artifact == kInitrd) {
    return open_plain(std::move(source), writer.ring());
  }
  return open_decompressor(std::move(source), writer.ring(), form.checksums, &writer.checksum());
}

}  // namespace

FileLayerReader::FileLayerReader(ByteSource source, const LayerForm& form, MergedView& view,
                                 ArtifactWriter& writer, ExtractionBudget& budget)
    : kind_(form.shape == LayerForm::Shape::archive ? kRootfs : form.artifact),
      path_(form.shape == LayerForm::Shape::archive ? "" : kArtifactKinds.at(kind_).name),
      decompressor_(open_layer(std::move(source), form, writer)),
      view_(view),
      writer_(writer),
      budget_(budget) {}

std::uint64_t FileLayerReader::run() {
  const std::string name(kArtifactKinds.at(kind_).name);
  view_.begin_layer();
  budget_.count_member();
  const std::size_t file = view_.place({kind_, name}, 0);
  writer_.begin(file, 0, name);
  const std::uint64_t size = write_content(*decompressor_, kind_, file, path_, writer_, budget_);
  view_.set_size(file, size);
  return size;
}

std::uint64_t write_content(Decompressor& content, std::size_t kind, std::size_t file,
                            std::string_view path, ArtifactWriter& writer,
                            ExtractionBudget& budget) {
  HoleFinder holes(writer, limit_of(budget.limits, kind));
  while (true) {
    writer.pass_on();
    const auto piece = content.next(holes.position());
    if (piece.empty()) break;
    budget.check_size(kind, path, holes.position() + piece.size());
    budget.hold(file, holes.position() + piece.size());
    holes.feed(holes.position(), piece, Lifetime::buffer);
  }
  holes.finish_here();
  writer.end(holes.position());
  return holes.position();
}

}  // namespace pyro
