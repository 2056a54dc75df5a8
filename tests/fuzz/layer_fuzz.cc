// Layers of any compression, laid over each other: the files that come of them, and their digests.
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
#include "stream/layer_reader.h"
#include "stream/merged_view.h"

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

/// So is it: threads take longer still. Checksums would leave a thread behind where a layer is
/// refused, which may hold on to the ring.
ArtifactWriter& writer() {
  static ArtifactWriter made(files());
  return made;
}

struct Pass {
  MergedView::Outcome outcome;
  std::vector<std::optional<Digest>> digests;
};

/// Nothing where the layers are refused.
std::optional<Pass> read_once(const std::vector<Bytes>& layers, std::uint8_t cut,
                              const std::vector<LinkTarget>& targets) {
  std::optional<Pass> pass;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    MergedView view(targets);
    ExtractionBudget budget{kLimits};
    for (const Bytes layer : layers) {
      LayerReader(in_pieces(layer, cut), Checksums::leave, view, writer(), budget).run();
    }
    pass = {view.choose(), {}};
  });
  auto digests = writer().finish();
  if (!sound) return std::nullopt;
  pass->digests = std::move(digests);
  return pass;
}

/// The last pass; nothing where the layers are refused, or take too many.
std::optional<Pass> extract(const std::vector<Bytes>& layers, std::uint8_t cut) {
  constexpr int kMostPasses = 4;
  std::vector<LinkTarget> targets;
  for (int i = 0; i < kMostPasses; ++i) {
    auto pass = read_once(layers, cut, targets);
    if (!pass || pass->outcome.missing.empty()) return pass;
    for (LinkTarget& target : pass->outcome.missing) {
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

void check(const Pass& pass, const ArchiveModel& model) {
  std::size_t found = 0;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    if (model.artifact(kind)) ++found;
  }
  require(pass.outcome.choices.size() == found, "an artifact of each kind that is there");
  for (const MergedView::Choice& choice : pass.outcome.choices) {
    const auto expected = model.artifact(choice.kind);
    require(expected && expected->size() == choice.size, "the right one, of its size");
    require(read_file(files()[choice.file], choice.size) == *expected,
            "its content is in its file");
    require(pass.digests[choice.file] == verity_of(*expected), "its digest is of its content");
  }
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  const std::vector<Bytes> layers = layers_of(input.bytes);
  const auto pass = extract(layers, input.cut);
  if (!pass) return 0;
  ArchiveModel model;
  for (const Bytes layer : layers) model.add(layer);
  if (model.is_exact()) check(*pass, model);
  return 0;
}
