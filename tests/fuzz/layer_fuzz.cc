// Stacked layers of any compression: the resulting files and their digests.
// kNextLayer stands between two layers.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "archive_model.h"
#include "base/fs_verity.h"
#include "oracle.h"
#include "pyro/environment_store.h"
#include "stream/artifact_writer.h"
#include "stream/extract.h"

namespace pyro::fuzz {
namespace {

constexpr std::string_view kNextLayer = "\xff\xfflayer";
constexpr std::size_t kMostLayers = 4;
constexpr ExtractionLimits kLimits = {.rootfs_bytes = 1U << 20,
                                      .kernel_bytes = 1U << 16,
                                      .initrd_bytes = 1U << 16,
                                      .other_bytes = 2U << 20,
                                      .compressed_bytes = 1U << 20,
                                      .members = 100};

std::vector<Bytes> layers_of(Bytes input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  std::vector<Bytes> layers;
  for (std::size_t at = 0; layers.size() < kMostLayers;) {
    const std::size_t end = std::min(text.find(kNextLayer, at), text.size());
    layers.push_back(input.subspan(at, end - at));
    if (end == text.size()) break;
    at = end + kNextLayer.size();
  }
  return layers;
}

/// Made once: opening files takes longer than all the rest.
const std::vector<int>& files() {
  static const std::vector<int> made = [] {
    std::vector<int> files;
    for (std::size_t i = 0; i < MergedView::kFiles; ++i) {
      files.push_back(::memfd_create("artifact", MFD_CLOEXEC));
    }
    return files;
  }();
  return made;
}

/// Made once, too: threads take longer still.
ArtifactWriter& writer() {
  static ArtifactWriter made(files());
  return made;
}

class Layers final : public LayerStream {
 public:
  Layers(const std::vector<Bytes>& layers, std::uint8_t cut) : layers_(layers), cut_(cut) {}

  std::optional<LayerForm> next_layer() override {
    if (next_ == layers_.size()) return std::nullopt;
    source_ = in_pieces(layers_[next_++], cut_);
    // A refused layer would leave a checksum's thread behind, which may hold on to the ring.
    return LayerForm{.checksums = Checksums::leave};
  }
  std::span<const std::byte> next() override { return source_(); }

 private:
  const std::vector<Bytes>& layers_;
  const std::uint8_t cut_;
  std::size_t next_ = 0;
  ByteSource source_;
};

/// Nothing if the layers are rejected.
std::optional<Extracted> read_once(const std::vector<Bytes>& layers, std::uint8_t cut,
                                   const std::vector<LinkTarget>& targets) {
  std::optional<Extracted> extracted;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    Layers stream(layers, cut);
    extracted = extract_layers(stream, writer(), kLimits, targets);
  });
  if (!sound) static_cast<void>(writer().finish());
  return extracted;
}

/// The last pass; nothing if the layers are rejected or need too many passes.
std::optional<Extracted> extract(const std::vector<Bytes>& layers, std::uint8_t cut) {
  constexpr int kMostPasses = 4;
  std::vector<LinkTarget> targets;
  for (int i = 0; i < kMostPasses; ++i) {
    auto extracted = read_once(layers, cut, targets);
    if (!extracted || extracted->missing.empty()) return extracted;
    for (LinkTarget& target : extracted->missing) {
      require(std::ranges::find(targets, target) == targets.end(), "each pass knows more");
      targets.push_back(std::move(target));
    }
  }
  return std::nullopt;
}

Digest verity_of(std::string_view content) {
  FsVerity verity;
  verity.add_blocks(std::as_bytes(std::span(content)));
  return verity.finish(content.size());
}

std::string read_file(int file, std::size_t size) {
  std::string content(size, '\0');
  require(::pread(file, content.data(), size, 0) == static_cast<ssize_t>(size), "a file is whole");
  require(::lseek(file, 0, SEEK_END) == static_cast<off_t>(size), "... and not longer");
  return content;
}

void check(const Extracted& extracted, const ArchiveModel& model) {
  std::size_t found = 0;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    if (model.artifact(kind)) ++found;
  }
  require(extracted.artifacts.size() == found, "an artifact of each kind that is there");
  for (const WrittenArtifact& artifact : extracted.artifacts) {
    const auto expected = model.artifact(artifact.kind);
    require(expected && expected->size() == artifact.size, "the right one, of its size");
    require(read_file(files()[artifact.file], artifact.size) == *expected,
            "its content is in its file");
    require(artifact.digest == verity_of(*expected), "its digest is of its content");
  }
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  const std::vector<Bytes> layers = layers_of(input.bytes);
  const auto extracted = extract(layers, input.cut);
  if (!extracted) return 0;
  ArchiveModel model;
  for (const Bytes layer : layers) model.add(layer);
  if (model.is_exact()) check(*extracted, model);
  return 0;
}
