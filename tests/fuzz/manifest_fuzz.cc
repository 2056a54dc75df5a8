// Manifests and indexes. The first byte is a digit that chooses the registry's Content-Type.
#include <array>
#include <nlohmann/json.hpp>

#include "oci/manifest.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kContentTypes = {
    "",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/json"};

constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 53;

json rendered(const Descriptor& descriptor) {
  json object = {{"mediaType", descriptor.media_type},
                 {"digest", descriptor.digest.to_string()},
                 {"size", descriptor.size}};
  if (descriptor.platform) {
    object["platform"] = {{"os", descriptor.platform->os},
                          {"architecture", descriptor.platform->architecture}};
  }
  if (descriptor.attestation) object["annotations"] = {{"vnd.docker.reference.type", "any"}};
  return object;
}

json rendered(const std::string& media_type, const char* list,
              const std::vector<Descriptor>& descriptors) {
  json document = {{"schemaVersion", 2}, {list, json::array()}};
  if (!media_type.empty()) document["mediaType"] = media_type;
  for (const Descriptor& descriptor : descriptors) document[list].push_back(rendered(descriptor));
  return document;
}

json rendered(const Manifest& manifest) {
  return rendered(manifest.media_type, "layers", manifest.layers);
}
json rendered(const Index& index) {
  return rendered(index.media_type, "manifests", index.manifests);
}

void check(const Manifest& manifest) {
  require(!manifest.layers.empty() && manifest.layers.size() <= kMaxLayers, "1 to 128 layers");
  for (const Descriptor& layer : manifest.layers) {
    require(layer.size <= kLargestSize, "the size of a layer is a number of bytes");
  }
}

void check(const Index& index) {
  require(index.manifests.size() <= kMaxManifests, "at most 256 manifests");
  for (const Descriptor& entry : index.manifests) {
    require(entry.size <= kLargestSize, "the size of a manifest is a number of bytes");
  }
  const Descriptor* const chosen = choose_platform(index);
  require(chosen == nullptr ||
              (chosen->platform && chosen->platform->os == "linux" && !chosen->attestation),
          "an image for linux is chosen, or none");
  for (const Descriptor& entry : entries_without_platform(index)) {
    require(!entry.platform && !entry.attestation, "what may be tried says no platform");
  }
  (void)list_platforms(index);
}

template <typename Document>
void check_round_trip(const Document& document) {
  const json text = rendered(document);
  const auto again = parse_manifest(text.dump(), document.media_type);
  require(std::holds_alternative<Document>(again), "a document written out is of its kind again");
  require(rendered(std::get<Document>(again)) == text, "... and the same");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  if (size == 0) return 0;
  const std::string_view content_type = fuzz::kContentTypes[data[0] % fuzz::kContentTypes.size()];
  const std::string_view text = fuzz::as_text(data + 1, size - 1);
  std::optional<std::variant<Manifest, Index>> parsed;
  const bool accepted =
      fuzz::accepts(ErrorCode::integrity, [&] { parsed = parse_manifest(text, content_type); });
  if (!accepted) return 0;
  std::visit([](const auto& document) { fuzz::check(document); }, *parsed);
  std::visit([](const auto& document) { fuzz::check_round_trip(document); }, *parsed);
  return 0;
}
