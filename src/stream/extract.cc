// The right-hand side of a pull.
#include "stream/extract.h"

#include <utility>

#include "stream/artifact_writer.h"
#include "stream/file_layer_reader.h"
#include "stream/layer_reader.h"
#include "stream/merged_view.h"

namespace pyro {

std::vector<WrittenArtifact> extract_layers(LayerStream& layers, std::vector<int> files,
                                            const ExtractionLimits& limits) {
  ArtifactWriter writer(std::move(files));
  MergedView view;
  ExtractionBudget budget{limits};
  const auto bytes = [&] { return layers.next(); };
  while (const auto form = layers.next_layer()) {
    if (form->shape == LayerForm::Shape::tar) {
      LayerReader(bytes, form->checksums, view, writer, budget).run();
    } else {
      FileLayerReader(bytes, *form, view, writer, budget).run();
    }
  }
  const auto choices = view.choose();
  const auto digests = writer.finish();
  std::vector<WrittenArtifact> artifacts;
  for (const MergedView::Choice& choice : choices) {
    artifacts.push_back({choice.kind, choice.file, choice.size, digests[choice.file].value()});
  }
  return artifacts;
}

}  // namespace pyro
