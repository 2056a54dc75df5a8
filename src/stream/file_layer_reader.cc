// Takes a layer that is one artifact.
#include "stream/file_layer_reader.h"

#include <string>
#include <utility>

namespace pyro {
namespace {

std::unique_ptr<Decompressor> open_layer(ByteSource source, const LayerForm& form,
                                         ArtifactWriter& writer) {
  if (form.shape == LayerForm::Shape::file) return open_plain(std::move(source), writer.ring());
  return open_decompressor(std::move(source), writer.ring(), form.checksums, &writer.checksum());
}

}  // namespace

FileLayerReader::FileLayerReader(ByteSource source, const LayerForm& form, MergedView& view,
                                 ArtifactWriter& writer, ExtractionBudget& budget)
    : kind_(form.artifact),
      decompressor_(open_layer(std::move(source), form, writer)),
      view_(view),
      writer_(writer),
      budget_(budget) {}

void FileLayerReader::run() {
  const std::string name(kArtifactKinds.at(kind_).name);
  view_.begin_layer();
  budget_.count_member();
  const std::size_t file = view_.place(kind_, name, 0);
  writer_.begin(file, 0, name);
  HoleFinder holes(writer_, budget_.limit_of(kind_));
  while (true) {
    const auto piece = next_piece(holes.position());
    if (piece.empty()) break;
    budget_.check_size(kind_, name, holes.position() + piece.size());
    budget_.hold(file, holes.position() + piece.size());
    holes.feed(holes.position(), piece, Lifetime::buffer);
  }
  holes.finish_here();
  writer_.end(holes.position());
  view_.set_size(file, holes.position());
}

std::span<const std::byte> FileLayerReader::next_piece(std::uint64_t position) {
  writer_.pass_on();
  return decompressor_->next(position);
}

}  // namespace pyro
