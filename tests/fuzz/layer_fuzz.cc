// Layers of any compression, laid over each other: the files that come of them, and their digests.
// kNextLayer stands between two layers.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/fs_verity.h"
#include "oracle.h"
#include "pyro/environment_store.h"
#include "stream/artifact_writer.h"
#include "stream/layer_reader.h"
#include "stream/member_path.h"
#include "stream/merged_view.h"
#include "stream/tar_reader.h"

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

struct Extracted {
  std::vector<MergedView::Choice> choices;
  std::vector<std::optional<Digest>> digests;
};

/// Nothing where the layers are refused.
std::optional<Extracted> extract(const std::vector<Bytes>& layers, std::uint8_t cut) {
  std::optional<Extracted> extracted;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    MergedView view;
    ExtractionBudget budget{kLimits};
    for (const Bytes layer : layers) {
      LayerReader(in_pieces(layer, cut), Checksums::leave, view, writer(), budget).run();
    }
    extracted = {view.choose(), {}};
  });
  auto digests = writer().finish();
  if (!sound) return std::nullopt;
  extracted->digests = std::move(digests);
  return extracted;
}

std::string content_of(const TarMember& member, TarReader& reader) {
  std::string content(member.size, '\0');
  while (const auto data = reader.next_data()) {
    std::ranges::copy(data->bytes, std::as_writable_bytes(std::span(content)).begin() +
                                       static_cast<std::ptrdiff_t>(data->offset));
  }
  return content;
}

/// The same as it would be on a file system, as far as artifacts go: each path with its content.
class Model {
 public:
  /// One that was taken already, so that it is sound and within the limits.
  void add(Bytes layer) {
    OutputRing ring;
    const auto decompressor = open_decompressor(in_pieces(layer, 0), ring, Checksums::leave);
    TarReader reader([&] { return decompressor->next(0); });
    Files upper;
    while (const auto member = reader.next()) lay(*member, reader, upper);
    files_.merge(upper);
  }

  using Files = std::map<std::string, std::string>;
  [[nodiscard]] const Files& files() const { return files_; }

 private:
  void lay(const TarMember& member, TarReader& reader, Files& upper) {
    const std::string path = normal_member_path(member.path);
    const std::string name(base_name_of(path));
    if (member.type == TarMember::Type::directory) {
      files_.erase(path);
    } else if (member.type == TarMember::Type::file && name.starts_with(".wh.")) {
      whiteout(std::string(parent_of(path)), name.substr(4));
    } else {
      remove(path);
      if (artifact_index(name)) upper[path] = content_of(member, reader);
    }
  }

  void whiteout(const std::string& directory, const std::string& name) {
    if (name == ".wh..opq") return remove_below(directory);
    if (name.starts_with(".wh.")) return;
    remove(directory.empty() ? name : directory + "/" + name);
  }

  void remove(const std::string& path) {
    files_.erase(path);
    remove_below(path);
  }

  void remove_below(const std::string& directory) {
    const std::string prefix = directory.empty() ? "" : directory + "/";
    std::erase_if(files_, [&](const auto& file) { return file.first.starts_with(prefix); });
  }

  Files files_;  // of lower layers
};

/// The artifact of this kind that is nearest to the top.
const std::string* choice_of(const Model::Files& files, std::size_t kind) {
  const Model::Files::value_type* best = nullptr;
  for (const auto& file : files) {
    require(("/" + file.first + "/").find("/../") == std::string::npos, "no path leads upwards");
    if (artifact_index(base_name_of(file.first)) != kind) continue;
    if (best == nullptr || depth_of(file.first) < depth_of(best->first)) best = &file;
  }
  return best == nullptr ? nullptr : &best->second;
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

void check(const Extracted& extracted, const Model& model) {
  std::size_t found = 0;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    if (choice_of(model.files(), kind) != nullptr) ++found;
  }
  require(extracted.choices.size() == found, "an artifact of each kind that is there");
  for (const MergedView::Choice& choice : extracted.choices) {
    const std::string* const expected = choice_of(model.files(), choice.kind);
    require(expected != nullptr && expected->size() == choice.size, "the right one, of its size");
    require(read_file(files()[choice.file], choice.size) == *expected,
            "its content is in its file");
    require(extracted.digests[choice.file] == verity_of(*expected), "its digest is of its content");
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
  Model model;
  for (const Bytes layer : layers) model.add(layer);
  check(*extracted, model);
  return 0;
}
