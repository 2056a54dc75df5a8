// The right-hand side of a pull.
#include "stream/extract.h"

#include <utility>

#include "stream/artifact_writer.h"
#include "stream/file_layer_reader.h"
#include "stream/layer_reader.h"

namespace pyro {

Extracted extract_layers(LayerStream& layers, std::vector<int> files,
                         const ExtractionLimits& limits, std::vector<LinkTarget> targets) {
  ArtifactWriter writer(std::move(files));
  MergedView view(std::move(targets));
  ExtractionBudget budget{limits};
  const auto bytes = [&] { return layers.next(); };
  std::optional<std::uint64_t> archive_size;
  while (const auto form = layers.next_layer()) {
    if (form->shape == LayerForm::Shape::tar) {
      LayerReader(bytes, form->checksums, view, writer, budget).run();
    } else {
      const std::uint64_t size = FileLayerReader(bytes, *form, view, writer, budget).run();
      if (form->shape == LayerForm::Shape::archive) archive_size = size;
    }
  }
  if (archive_size) {
    static_cast<void>(writer.finish());
    return {.archive_size = archive_size};
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
