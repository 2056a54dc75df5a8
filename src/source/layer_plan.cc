// The plan for the layers of an image: the ones to fetch, and the form of each.
#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"
#include "pyro/error.h"
#include "source/image_source.h"
#include "stream/artifacts.h"
#include "stream/tar.h"

namespace pyro {
namespace {

/// "layer 2 of 3 (sha256:...)"
std::string label_of_layer(const Manifest& manifest, std::size_t index) {
  return "layer " + std::to_string(index + 1) + " of " + std::to_string(manifest.layers.size()) +
         " (" + manifest.layers[index].digest.to_string() + ")";
}

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

void refuse_other_kinds(const Descriptor& layer, EnvironmentKind wanted) {
  const auto kind = std::ranges::find_if(
      kOtherKinds, [&](const OtherKind& k) { return layer.media_type.starts_with(k.type); });
  if (kind == kOtherKinds.end()) return;
  const bool is_container = wanted == EnvironmentKind::container;
  throw Error(ErrorCode::integrity,
              "it is " + std::string(kind->name) + ", not " +
                  (is_container ? "a container image" : "an environment"),
              is_container ? "" : "an environment's layers are tars with vmlinux and rootfs.ext4");
}

/// Layers that a registry may not hold: their URLs are never followed.
void refuse_foreign(const Manifest& manifest, std::size_t index) {
  const std::string_view type = manifest.layers[index].media_type;
  if (type.find(".foreign.") == type.npos && type.find(".nondistributable.") == type.npos) return;
  throw Error(ErrorCode::integrity,
              label_of_layer(manifest, index) + " is not in the registry: it is a foreign layer",
              "images of Windows have such layers, and pyro boots Linux");
}

/// By the media types of ocicrypt.
void refuse_encrypted(const Manifest& manifest, std::size_t index) {
  if (!manifest.layers[index].media_type.ends_with("+encrypted")) return;
  throw Error(ErrorCode::integrity, label_of_layer(manifest, index) + " is encrypted",
              "encrypted layers are not read: 'skopeo copy --decryption-key' makes plain ones");
}

bool is_folder(const Descriptor& layer) {
  return annotation(layer.annotations, kUnpack) == "true";
}

/// The form of a layer that is an artifact; nothing for a tar, or another file.
std::optional<LayerForm> artifact_of(const Descriptor& layer) {
  const std::string_view title = annotation(layer.annotations, kTitle);
  std::string_view name = base_name_of(title);
  const bool has_suffix = remove_packed_suffix(name);
  const auto kind = artifact_index(name);
  if (!kind || is_folder(layer)) return std::nullopt;
  static_cast<void>(normal_member_path(title));
  const bool compressed = has_suffix || is_compressed_type(layer.media_type);
  return LayerForm{.shape = compressed ? LayerForm::Shape::compressed_file : LayerForm::Shape::file,
                   .artifact = static_cast<std::uint32_t>(*kind),
                   .checksums = Checksums::leave};
}

/// The form of each layer that is an artifact.
std::vector<std::optional<LayerForm>> find_artifacts(const Manifest& manifest) {
  std::vector<std::optional<LayerForm>> forms;
  std::bitset<kArtifactKinds.size()> seen;
  for (const Descriptor& layer : manifest.layers) {
    forms.push_back(artifact_of(layer));
    if (!forms.back()) continue;
    const std::size_t kind = forms.back()->artifact;
    if (seen[kind]) {
      throw Error(ErrorCode::integrity, "two layers are called '" +
                                            std::string(kArtifactKinds[kind].name) +
                                            "': it is not clear which one is meant");
    }
    seen.set(kind);
  }
  return forms;
}

/// Whether its only layer is a root file system, as an export of a container image has it.
bool is_file_system(const Manifest& manifest) {
  if (manifest.layers.size() != 1) return false;
  const auto form = artifact_of(manifest.layers.front());
  return form && form->artifact == kRootfs;
}

/// The forms of layers that are no tars.
std::vector<std::optional<LayerForm>> forms_in_container(const Manifest& manifest) {
  std::vector<std::optional<LayerForm>> forms(manifest.layers.size());
  if (is_file_system(manifest)) {
    forms.front() = LayerForm{.shape = LayerForm::Shape::archive, .checksums = Checksums::leave};
  }
  return forms;
}

bool is_other_file(const Descriptor& layer) {
  return !is_folder(layer) && !annotation(layer.annotations, kTitle).empty();
}

/// By its media type, which is only a claim. Other layers may be full of zeros, which take no
/// space.
bool is_compressed_layer(const Descriptor& layer) {
  return layer.media_type.ends_with("gzip") || layer.media_type.ends_with("zstd");
}

}  // namespace

LayerPlan plan_layers(const Manifest& manifest, const ExtractionLimits& limits,
                      EnvironmentKind kind) {
  const bool is_container = kind == EnvironmentKind::container;
  const auto artifacts = is_container ? forms_in_container(manifest) : find_artifacts(manifest);
  const bool has_artifacts = std::ranges::any_of(artifacts, &std::optional<LayerForm>::has_value);
  LayerPlan plan;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    if (!artifacts[i]) {
      if (has_artifacts && is_other_file(layer)) continue;
      refuse_other_kinds(layer, kind);
    }
    refuse_encrypted(manifest, i);
    if (is_container) refuse_foreign(manifest, i);
    plan.layers.push_back({i, label_of_layer(manifest, i),
                           artifacts[i].value_or(LayerForm{.checksums = Checksums::leave})});
    plan.compressed_bytes += layer.size;
    if (is_compressed_layer(layer)) plan.min_unpacked_bytes += layer.size;
  }
  if (plan.compressed_bytes > limits.compressed_bytes) {
    throw Error(ErrorCode::integrity, "its layers are " + mib(plan.compressed_bytes) +
                                          "; the limit is " + mib(limits.compressed_bytes));
  }
  return plan;
}

}  // namespace pyro
