// OCI and Docker images in memory, right or wrong in every detail.
#include "support/images.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/hash.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

json descriptor(const std::string& media_type, const std::string& bytes) {
  return {{"mediaType", media_type}, {"digest", sha256_digest(bytes)}, {"size", bytes.size()}};
}

json to_json(const Platform& platform) {
  json result{{"os", platform.os}, {"architecture", platform.architecture}};
  if (!platform.variant.empty()) result["variant"] = platform.variant;
  return result;
}

Document to_document(json content, const JsonEdit& edit) {
  const std::string type = content["mediaType"];
  if (edit) edit(content);
  return {type, content.dump(2)};
}

std::filesystem::path blob_path(const std::filesystem::path& dir, const std::string& digest) {
  return dir / "blobs" / "sha256" / digest.substr(digest.find(':') + 1);
}

json read_layout_index(const std::filesystem::path& file) {
  if (std::filesystem::exists(file)) return json::parse(read_file(file));
  return {{"schemaVersion", 2}, {"manifests", json::array()}};
}

}  // namespace

std::string Document::digest() const {
  return sha256_digest(bytes);
}

std::string layer_media_type(ImageFormat format, Compression compression) {
  const bool oci = format == ImageFormat::oci;
  const std::string type = oci ? media_type::kOciLayer : media_type::kDockerLayer;
  const std::string separator = oci ? "+" : ".";
  switch (compression) {
    case Compression::none:
      return type;
    case Compression::gzip:
      return type + separator + "gzip";
    case Compression::zstd:
      return type + separator + "zstd";
    // Of no standard, but seen.
    case Compression::xz:
      return type + separator + "xz";
    case Compression::bzip2:
      return type + separator + "bzip2";
  }
  throw std::invalid_argument("unknown compression");
}

Image raw_image(std::string media_type, std::string bytes) {
  Image image;
  image.root = {std::move(media_type), std::move(bytes)};
  image.documents[image.digest()] = image.root;
  return image;
}

ImageBuilder& ImageBuilder::layer(std::string_view tar, Compression compression) {
  layers_.push_back(
      {compress(tar, compression), layer_media_type(format_, compression), sha256_digest(tar)});
  return *this;
}

ImageBuilder& ImageBuilder::raw_layer(std::string bytes, std::string media_type) {
  const std::string digest = sha256_digest(bytes);
  layers_.push_back({std::move(bytes), std::move(media_type), digest});
  return *this;
}

ImageBuilder& ImageBuilder::platform(Platform platform) {
  platform_ = std::move(platform);
  return *this;
}

ImageBuilder& ImageBuilder::edit_config(JsonEdit edit) {
  edit_config_ = std::move(edit);
  return *this;
}

ImageBuilder& ImageBuilder::edit_manifest(JsonEdit edit) {
  edit_manifest_ = std::move(edit);
  return *this;
}

std::string ImageBuilder::layer_digest(std::size_t index) const {
  return sha256_digest(layers_.at(index).bytes);
}

std::string ImageBuilder::config_bytes() const {
  json config = to_json(platform_);
  config["created"] = "2023-12-14T00:00:00Z";  // a fixed day: the same digests on every day
  config["config"] = json::object();
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", json::array()}};
  config["history"] = json::array();
  for (const Layer& layer : layers_) {
    config["rootfs"]["diff_ids"].push_back(layer.diff_id);
    config["history"].push_back({{"created", config["created"]}, {"created_by", "a test"}});
  }
  if (edit_config_) edit_config_(config);
  return config.dump(2);
}

Image ImageBuilder::build() const {
  const bool oci = format_ == ImageFormat::oci;
  Image image;
  const std::string config = config_bytes();
  image.blobs[sha256_digest(config)] = config;
  json manifest{
      {"schemaVersion", 2},
      {"mediaType", oci ? media_type::kOciManifest : media_type::kDockerManifest},
      {"config", descriptor(oci ? media_type::kOciConfig : media_type::kDockerConfig, config)},
      {"layers", json::array()}};
  for (const Layer& layer : layers_) {
    manifest["layers"].push_back(descriptor(layer.media_type, layer.bytes));
    image.blobs[sha256_digest(layer.bytes)] = layer.bytes;
  }
  image.root = to_document(std::move(manifest), edit_manifest_);
  image.documents[image.digest()] = image.root;
  return image;
}

IndexBuilder& IndexBuilder::add(const Image& image, std::optional<Platform> platform) {
  entries_.push_back({image, std::move(platform), {}});
  return *this;
}

IndexBuilder& IndexBuilder::add_attestation(const Image& attestation,
                                            const std::string& of_digest) {
  entries_.push_back({attestation,
                      Platform{"unknown", "unknown", ""},
                      {{"vnd.docker.reference.type", "attestation-manifest"},
                       {"vnd.docker.reference.digest", of_digest}}});
  return *this;
}

IndexBuilder& IndexBuilder::edit(JsonEdit edit) {
  edit_ = std::move(edit);
  return *this;
}

Image IndexBuilder::build() const {
  const bool oci = format_ == ImageFormat::oci;
  Image index;
  json content{{"schemaVersion", 2},
               {"mediaType", oci ? media_type::kOciIndex : media_type::kDockerList},
               {"manifests", json::array()}};
  for (const Entry& entry : entries_) {
    json item = descriptor(entry.image.root.media_type, entry.image.root.bytes);
    if (entry.platform) item["platform"] = to_json(*entry.platform);
    if (!entry.annotations.empty()) item["annotations"] = entry.annotations;
    content["manifests"].push_back(std::move(item));
    index.documents.insert(entry.image.documents.begin(), entry.image.documents.end());
    index.blobs.insert(entry.image.blobs.begin(), entry.image.blobs.end());
  }
  index.root = to_document(std::move(content), edit_);
  index.documents[index.digest()] = index.root;
  return index;
}

void write_oci_layout(const Image& image, const std::filesystem::path& dir,
                      const std::string& tag) {
  write_file(dir / "oci-layout", R"({"imageLayoutVersion": "1.0.0"})");
  for (const auto& [digest, document] : image.documents) {
    write_file(blob_path(dir, digest), document.bytes);
  }
  for (const auto& [digest, bytes] : image.blobs) write_file(blob_path(dir, digest), bytes);
  json index = read_layout_index(dir / "index.json");
  json entry = descriptor(image.root.media_type, image.root.bytes);
  entry["annotations"] = {{"org.opencontainers.image.ref.name", tag}};
  index["manifests"].push_back(std::move(entry));
  write_file(dir / "index.json", index.dump(2));
}

}  // namespace pyro::testing
