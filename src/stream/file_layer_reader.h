// Takes a layer that is one artifact, and not an archive of them; or an archive as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "stream/artifact_writer.h"
#include "stream/decompress.h"
#include "stream/layer_form.h"
#include "stream/layer_reader.h"
#include "stream/merged_view.h"

namespace pyro {

/// Reads one such layer to its end. How large the artifact is turns out there.
class FileLayerReader {
 public:
  /// `form` is not of a tar.
  FileLayerReader(ByteSource source, const LayerForm& form, MergedView& view,
                  ArtifactWriter& writer, ExtractionBudget& budget);

  /// Its size. @throws Error(integrity)
  [[nodiscard]] std::uint64_t run();

 private:
  const std::size_t kind_;
  const std::string path_;
  std::unique_ptr<Decompressor> decompressor_;
  MergedView& view_;
  ArtifactWriter& writer_;
  ExtractionBudget& budget_;
};

/// Writes all that `content` unpacks to to `file`, which was begun last, and ends it: its size,
/// which turns out there. `path` is what errors call it; empty for an archive.
/// @throws Error(integrity)
[[nodiscard]] std::uint64_t write_content(Decompressor& content, std::size_t kind, std::size_t file,
                                          std::string_view path, ArtifactWriter& writer,
                                          ExtractionBudget& budget);

}  // namespace pyro
