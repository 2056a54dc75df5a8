// The documents of an image, parsed strictly.
#include "oci/manifest.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/strict_json.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 53;

/// Bytes of a media type (RFC 6838 allows fewer), a digest or a platform: messages quote them.
constexpr std::size_t kMaxField = 256;
/// Platforms of an index in a message.
constexpr std::size_t kMaxListed = 20;

constexpr std::array<std::string_view, 2> kIndexTypes = {kOciIndexType, kDockerIndexType};
constexpr std::array<std::string_view, 2> kConfigTypes = {kOciConfigType, kDockerConfigType};
constexpr std::array<std::string_view, 2> kManifestTypes = {kOciManifestType, kDockerManifestType};

bool is_manifest_type(std::string_view type) {
  return std::ranges::count(kManifestTypes, type) > 0;
}

Error broken_document(const std::string& rule) {
  return Error(ErrorCode::integrity, rule);
}

/// The string `name`; empty when there is none.
std::string string_field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (!found->is_string()) throw broken_document("\"" + std::string(name) + "\" is not a string");
  auto text = found->get<std::string>();
  if (text.size() > kMaxField) {
    throw broken_document("\"" + std::string(name) + "\" is longer than " +
                          std::to_string(kMaxField) + " bytes");
  }
  return text;
}

Digest parse_digest(const Json& descriptor) {
  const std::string text = string_field(descriptor, "digest");
  if (const auto digest = Digest::parse(text)) return *digest;
  const std::string algorithm = text.substr(0, text.find(':'));
  if (text.find(':') != std::string::npos && algorithm != "sha256") {
    throw broken_document("a digest uses the algorithm " + algorithm +
                          "; only sha256 is supported");
  }
  throw broken_document("a descriptor's digest is missing or malformed: \"" + text + "\"");
}

std::uint64_t parse_size(const Json& descriptor) {
  const auto size = descriptor.find("size");
  if (size == descriptor.end() || !size->is_number_unsigned() ||
      size->get<std::uint64_t>() > kMaxSize) {
    throw broken_document("a descriptor's size is missing or not a number of bytes");
  }
  return size->get<std::uint64_t>();
}

std::optional<Platform> parse_platform(const Json& descriptor) {
  const auto platform = descriptor.find("platform");
  if (platform == descriptor.end() || platform->is_null()) return std::nullopt;
  if (!platform->is_object()) throw broken_document("a descriptor's platform is not an object");
  return Platform{string_field(*platform, "os"), string_field(*platform, "architecture")};
}

Annotations parse_annotations(const Json& object) {
  Annotations annotations;
  const auto found = object.find("annotations");
  if (found == object.end() || !found->is_object()) return annotations;
  for (const auto& [key, value] : found->items()) {
    if (value.is_string()) annotations.emplace(key, value.get<std::string>());
  }
  return annotations;
}

/// BuildKit lists its attestations like images, for the platform unknown/unknown.
bool is_attestation(const Json& descriptor, const std::optional<Platform>& platform) {
  if (platform && platform->os == "unknown") return true;
  const auto annotations = descriptor.find("annotations");
  return annotations != descriptor.end() && annotations->is_object() &&
         annotations->contains("vnd.docker.reference.type");
}

Descriptor parse_descriptor(const Json& object) {
  if (!object.is_object()) throw broken_document("a descriptor is not an object");
  Descriptor descriptor{.media_type = string_field(object, "mediaType"),
                        .digest = parse_digest(object),
                        .size = parse_size(object),
                        .platform = parse_platform(object)};
  descriptor.attestation = is_attestation(object, descriptor.platform);
  descriptor.annotations = parse_annotations(object);
  return descriptor;
}

std::vector<Descriptor> parse_descriptors(const Json& document, const char* name,
                                          std::size_t limit) {
  const Json& list = document.at(name);
  if (!list.is_array()) throw broken_document("\"" + std::string(name) + "\" is not a list");
  if (list.size() > limit) {
    throw broken_document("there are " + std::to_string(list.size()) + " " + name + "; at most " +
                          std::to_string(limit) + " are supported");
  }
  std::vector<Descriptor> descriptors;
  for (const Json& entry : list) descriptors.push_back(parse_descriptor(entry));
  return descriptors;
}

/// Ignores configs of other things than images, and nonsense.
std::optional<Descriptor> parse_config(const Json& document) {
  const auto config = document.find("config");
  if (config == document.end() || !config->is_object()) return std::nullopt;
  const auto type = config->find("mediaType");
  if (type == config->end() || !type->is_string()) return std::nullopt;
  if (std::ranges::count(kConfigTypes, type->get_ref<const std::string&>()) == 0) {
    return std::nullopt;
  }
  return parse_descriptor(*config);
}

/// Some clients ignore the case of names of fields, and would see other layers.
void refuse_other_spellings(const Json& document) {
  for (const auto& [name, value] : document.items()) {
    const std::string plain = to_lower(name);
    if (name != plain && (plain == "layers" || plain == "manifests")) {
      throw broken_document("the manifest has a field \"" + name + "\", which some read as \"" +
                            plain + "\"");
    }
  }
}

void check_schema(const Json& document) {
  if (!document.is_object()) throw broken_document("the manifest is not a JSON object");
  refuse_other_spellings(document);
  const auto version = document.find("schemaVersion");
  if (version != document.end() && *version == 1) {
    throw broken_document(
        "the image has a manifest of Docker's schema 1, which is no longer in use");
  }
  if (version == document.end() || !version->is_number_integer() || *version != 2) {
    throw broken_document("the manifest's schemaVersion is not 2");
  }
}

/// Whether web servers and object stores use `type` for any file: it does not contradict the
/// document.
bool is_generic_type(std::string_view type) {
  constexpr std::array<std::string_view, 6> kTypes = {"",
                                                      "application/octet-stream",
                                                      "binary/octet-stream",
                                                      "application/json",
                                                      "text/json",
                                                      "text/plain"};
  return std::ranges::count(kTypes, type) > 0;
}

/// The type by the document and by the registry, which must not contradict each other (distribution
/// specification, "Pulling manifests"). Empty when neither has a known one.
std::string media_type(const Json& document, std::string_view content_type) {
  std::string own = string_field(document, "mediaType");
  if (!own.empty() && !is_generic_type(content_type) && to_lower(own) != content_type) {
    throw broken_document("the manifest says that it is " + own + ", but came as " +
                          std::string(content_type.substr(0, kMaxField)));
  }
  if (!own.empty()) {
    if (is_index_type(own) || is_manifest_type(own)) return own;
    throw broken_document("the manifest is of an unsupported type: " + own);
  }
  const bool known = is_index_type(content_type) || is_manifest_type(content_type);
  return known ? std::string(content_type) : std::string();
}

/// A document that is both would be read differently by different clients (CVE-2021-41190).
bool is_index(const Json& document, const std::string& type) {
  const bool has_manifests = document.contains("manifests");
  const bool has_layers = document.contains("layers");
  if (has_manifests && has_layers)
    throw broken_document("the manifest has both manifests and layers");
  if (!has_manifests && !has_layers)
    throw broken_document("the manifest has neither layers nor manifests");
  if (has_manifests ? is_manifest_type(type) : is_index_type(type)) {
    throw broken_document("the manifest is not what its type says: " + type);
  }
  return has_manifests;
}

bool is_wanted_platform(const Descriptor& entry) {
  return !entry.attestation && entry.platform && !entry.platform->os.empty() &&
         !entry.platform->architecture.empty() && is_our_platform(*entry.platform);
}

/// Entries of an index without a platform; there are one or two, if any. Limits the requests.
constexpr std::size_t kMaxCandidates = 8;

struct PlatformManifest {
  Digest digest;
  Manifest manifest;
};

/// Looks for the manifest of our platform, and notes which others there are.
class PlatformSearch {
 public:
  explicit PlatformSearch(DocumentSource& source) : source_(source) {}

  /// Searches `index`, and indexes up to `levels` below.
  std::optional<PlatformManifest> run(const Index& index, int levels) {
    if (const std::string list = list_platforms(index); !list.empty()) note(list);
    const Descriptor* const match = choose_platform(index);
    const auto candidates =
        match != nullptr ? std::vector<Descriptor>{*match} : entries_without_platform(index);
    for (std::size_t i = 0; i < std::min(candidates.size(), kMaxCandidates); ++i) {
      Document document = source_.document(candidates[i]);
      if (auto* const manifest = std::get_if<Manifest>(&document.content)) {
        if (match == nullptr && !is_ours(*manifest)) continue;
        return PlatformManifest{document.digest, std::move(*manifest)};
      }
      if (levels == 0) continue;
      auto found = run(std::get<Index>(document.content), levels - 1);
      if (found) return found;
    }
    return std::nullopt;
  }

  /// By its config.
  bool is_ours(const Manifest& manifest) {
    if (!manifest.config) return true;
    const Platform platform = config_platform(source_.config(*manifest.config));
    if (is_our_platform(platform)) return true;
    note((platform.os.empty() ? "linux" : platform.os) + "/" +
         (platform.architecture.empty() ? "amd64" : platform.architecture));
    return false;
  }

  [[nodiscard]] std::string list_found() const {
    return platforms_.empty() ? "it names no platform at all" : "there is only " + platforms_;
  }

 private:
  void note(const std::string& platforms) {
    platforms_ += (platforms_.empty() ? "" : ", ") + platforms;
  }

  DocumentSource& source_;
  std::string platforms_;
};

}  // namespace

std::string_view annotation(const Annotations& annotations, std::string_view key) {
  const auto found = annotations.find(key);
  return found == annotations.end() ? std::string_view() : found->second;
}

bool is_index_type(std::string_view media_type) noexcept {
  return std::ranges::count(kIndexTypes, media_type) > 0;
}

std::variant<Manifest, Index> parse_manifest(std::string_view text, std::string_view content_type,
                                             const std::stop_token& stop) {
  const Json document = parse_strict_json(text, ErrorCode::integrity, stop);
  check_schema(document);
  const std::string type = media_type(document, content_type);
  if (is_index(document, type)) {
    return Index{type, parse_descriptors(document, "manifests", kMaxManifests)};
  }
  Manifest manifest{.media_type = type,
                    .layers = parse_descriptors(document, "layers", kMaxLayers),
                    .config = parse_config(document),
                    .annotations = parse_annotations(document)};
  if (manifest.layers.empty()) throw broken_document("the image has no layers");
  return manifest;
}

Platform config_platform(std::string_view text) {
  const Json config = parse_strict_json_or_null(text);
  const auto field_of = [&](const char* name) {
    const auto field = config.is_object() ? config.find(name) : config.end();
    const auto* const found =
        field != config.end() ? field->get_ptr<const std::string*>() : nullptr;
    return found != nullptr && found->size() <= kMaxField ? *found : std::string();
  };
  return {.os = field_of("os"), .architecture = field_of("architecture")};
}

bool is_our_platform(const Platform& platform) {
  constexpr std::array<std::string_view, 3> kNames = {"", "amd64", "x86_64"};
  return (platform.os.empty() || platform.os == "linux") &&
         std::ranges::count(kNames, platform.architecture) > 0;
}

const Descriptor* choose_platform(const Index& index) {
  const auto found = std::ranges::find_if(index.manifests, is_wanted_platform);
  return found == index.manifests.end() ? nullptr : &*found;
}

std::vector<Descriptor> entries_without_platform(const Index& index) {
  std::vector<Descriptor> entries;
  for (const Descriptor& entry : index.manifests) {
    const bool readable = is_index_type(entry.media_type) || is_manifest_type(entry.media_type);
    if (!entry.platform && !entry.attestation && readable) entries.push_back(entry);
  }
  return entries;
}

std::string list_platforms(const Index& index) {
  std::string list;
  std::size_t count = 0;
  for (const Descriptor& entry : index.manifests) {
    if (!entry.platform || entry.attestation) continue;
    if (++count > kMaxListed) return list + ", ...";
    if (!list.empty()) list += ", ";
    list += entry.platform->os + "/" + entry.platform->architecture;
  }
  return list;
}

ResolvedImage resolve_platform(Document top, const std::string& subject, ErrorCode no_platform,
                               DocumentSource& source) {
  PlatformSearch search(source);
  std::optional<PlatformManifest> found;
  if (auto* const manifest = std::get_if<Manifest>(&top.content)) {
    if (search.is_ours(*manifest)) found = PlatformManifest{top.digest, std::move(*manifest)};
  } else {
    found = search.run(std::get<Index>(top.content), 1);
  }
  if (!found) {
    Error error(no_platform, search.list_found());
    error.add_context(subject + " has no image for linux/amd64");
    throw error;
  }
  return {top.digest, found->digest, std::move(found->manifest)};
}

}  // namespace pyro
