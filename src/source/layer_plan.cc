// Which layers of an image are fetched.
#include "source/layer_plan.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <string_view>

#include "base/mib.h"
#include "pyro/error.h"
#include "stream/artifacts.h"
#include "stream/member_path.h"

namespace pyro {
namespace {

bool is_compressed_type(std::string_view media_type) {
  return media_type.ends_with("+gzip") || media_type.ends_with("+zstd");
}

struct OtherKind {
  std::string_view type;  ///< The beginning of a layer's media type.
  std::string_view name;
};

constexpr std::array kOtherKinds = {
    OtherKind{"application/vnd.dev.cosign.simplesigning.", "a cosign signature"},
    OtherKind{"application/vnd.dev.sigstore.bundle", "a Sigstore bundle"},
    OtherKind{"application/vnd.dsse.envelope.", "a signed attestation"},
    OtherKind{"application/vnd.in-toto", "a build attestation"},
    OtherKind{"application/vnd.cncf.helm.", "a Helm chart"},
    OtherKind{"application/vnd.cyclonedx", "a bill of materials"},
    OtherKind{"application/spdx", "a bill of materials"},
    OtherKind{"text/spdx", "a bill of materials"},
    OtherKind{"application/wasm", "a WebAssembly module"},
    OtherKind{"application/vnd.wasm.", "a WebAssembly module"},
    OtherKind{"application/vnd.module.wasm.", "a WebAssembly module"},
};

void refuse_other_kinds(const Descriptor& layer) {
  const auto kind = std::ranges::find_if(
      kOtherKinds, [&](const OtherKind& k) { return layer.media_type.starts_with(k.type); });
  if (kind == kOtherKinds.end()) return;
  throw Error(ErrorCode::integrity, "it is " + std::string(kind->name) + ", not an environment",
              "an environment's layers are tars with vmlinux and rootfs.ext4");
}

/// As ocicrypt names them.
void refuse_encrypted(const Manifest& manifest, std::size_t index) {
  if (!manifest.layers[index].media_type.ends_with("+encrypted")) return;
  throw Error(ErrorCode::integrity, label_of_layer(manifest, index) + " is encrypted",
              "encrypted layers are not read: 'skopeo copy --decryption-key' makes plain ones");
}

bool is_folder(const Descriptor& layer) {
  return annotation(layer.annotations, kUnpack) == "true";
}

/// The artifact that `layer` is; nothing where it is a tar, or another file.
std::optional<LayerForm> artifact_of(const Descriptor& layer) {
  const std::string_view title = annotation(layer.annotations, kTitle);
  std::string_view name = base_name_of(title);
  const bool has_suffix = take_packed_suffix(name);
  const auto kind = artifact_index(name);
  if (!kind || is_folder(layer)) return std::nullopt;
  static_cast<void>(normal_member_path(title));
  const bool compressed = has_suffix || is_compressed_type(layer.media_type);
  return LayerForm{.shape = compressed ? LayerForm::Shape::compressed_file : LayerForm::Shape::file,
                   .artifact = static_cast<std::uint32_t>(*kind),
                   .checksums = Checksums::leave};
}

std::vector<PlannedLayer> files_of(const Manifest& manifest) {
  std::vector<PlannedLayer> files;
  std::bitset<kArtifactKinds.size()> there;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const auto form = artifact_of(manifest.layers[i]);
    if (!form) continue;
    if (there[form->artifact]) {
      throw Error(ErrorCode::integrity, "two layers are called '" +
                                            std::string(kArtifactKinds[form->artifact].name) +
                                            "': it is not clear which one is meant");
    }
    there.set(form->artifact);
    files.push_back({i, *form});
  }
  return files;
}

/// Beside files, one that has a title is another file.
bool is_tar(const Descriptor& layer, bool beside_files) {
  return !beside_files || is_folder(layer) || annotation(layer.annotations, kTitle).empty();
}

}  // namespace

std::vector<PlannedLayer> plan_layers(const Manifest& manifest) {
  std::vector<PlannedLayer> plan = files_of(manifest);
  const bool has_files = !plan.empty();
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    if (artifact_of(layer) || !is_tar(layer, has_files)) continue;
    refuse_other_kinds(layer);
    plan.push_back({i, {.checksums = Checksums::leave}});
  }
  std::ranges::sort(plan, {}, &PlannedLayer::index);
  for (const PlannedLayer& layer : plan) refuse_encrypted(manifest, layer.index);
  return plan;
}

std::uint64_t planned_bytes(const Manifest& manifest, const std::vector<PlannedLayer>& plan,
                            const ExtractionLimits& limits) {
  std::uint64_t total = 0;
  for (const PlannedLayer& layer : plan) total += manifest.layers[layer.index].size;
  if (total > limits.compressed_bytes) {
    throw Error(ErrorCode::integrity,
                "its layers are " + mib(total) + "; the limit is " + mib(limits.compressed_bytes));
  }
  return total;
}

std::uint64_t least_room(const Manifest& manifest, const std::vector<PlannedLayer>& plan) {
  std::uint64_t total = 0;
  for (const PlannedLayer& planned : plan) {
    const Descriptor& layer = manifest.layers[planned.index];
    const std::string_view type = layer.media_type;
    if (type.ends_with("gzip") || type.ends_with("zstd")) total += layer.size;
  }
  return total;
}

std::string label_of_layer(const Manifest& manifest, std::size_t index) {
  return "layer " + std::to_string(index + 1) + " of " + std::to_string(manifest.layers.size()) +
         " (" + manifest.layers[index].digest.to_string() + ")";
}

}  // namespace pyro
