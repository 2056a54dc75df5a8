// OCI and Docker images in memory, right or wrong in every detail.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/compress.h"

namespace pyro::testing {

namespace media_type {
inline constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayer[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerList[] = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerConfig[] = "application/vnd.docker.container.image.v1+json";
inline constexpr char kDockerLayer[] = "application/vnd.docker.image.rootfs.diff.tar";
}  // namespace media_type

enum class ImageFormat { oci, docker };

/// A layer's media type: OCI "+gzip", "+zstd"; Docker ".gzip", ".zstd".
std::string layer_media_type(ImageFormat format, Compression compression);

struct Platform {
  std::string os = "linux";
  std::string architecture = "amd64";
  std::string variant = {};
};

/// A manifest or an index: bytes that have a type.
struct Document {
  std::string media_type = {};
  std::string bytes = {};
  std::string digest() const;
};

/// An image or an index with everything below it.
struct Image {
  Document root = {};
  std::map<std::string, Document> documents = {};  ///< By digest, the root among them.
  std::map<std::string, std::string> blobs = {};   ///< By digest: configs and layers.

  std::string digest() const { return root.digest(); }
};

/// A root of any bytes: HTML, broken JSON, several documents in one.
Image raw_image(std::string media_type, std::string bytes);

/// Edits a document before it becomes bytes.
using JsonEdit = std::function<void(nlohmann::json&)>;

/// Makes one manifest with its config and layers.
class ImageBuilder {
 public:
  explicit ImageBuilder(ImageFormat format = ImageFormat::oci) : format_(format) {}

  /// A tar, stored as `compression` says.
  ImageBuilder& layer(std::string_view tar, Compression compression = Compression::gzip);
  /// Bytes of any kind under any media type.
  ImageBuilder& raw_layer(std::string bytes, std::string media_type);
  ImageBuilder& platform(Platform platform);
  ImageBuilder& edit_config(JsonEdit edit);
  ImageBuilder& edit_manifest(JsonEdit edit);

  Image build() const;
  /// The digest of the n-th layer, as it will stand in the manifest.
  std::string layer_digest(std::size_t index) const;

 private:
  struct Layer {
    std::string bytes;
    std::string media_type;
    std::string diff_id;
  };

  std::string config_bytes() const;

  ImageFormat format_;
  std::vector<Layer> layers_;
  Platform platform_;
  JsonEdit edit_config_;
  JsonEdit edit_manifest_;
};

/// Makes an OCI index or a Docker manifest list.
class IndexBuilder {
 public:
  explicit IndexBuilder(ImageFormat format = ImageFormat::oci) : format_(format) {}

  /// std::nullopt: an entry without a platform. An index as `image` makes a nested one.
  IndexBuilder& add(const Image& image, std::optional<Platform> platform);
  /// What buildkit adds beside an image: platform unknown/unknown, a reference to its digest.
  IndexBuilder& add_attestation(const Image& attestation, const std::string& of_digest);
  IndexBuilder& edit(JsonEdit edit);

  Image build() const;

 private:
  struct Entry {
    Image image;
    std::optional<Platform> platform;
    std::map<std::string, std::string> annotations;
  };

  ImageFormat format_;
  std::vector<Entry> entries_;
  JsonEdit edit_;
};

/// Writes (or adds to) an OCI layout: "oci:DIR:TAG" for skopeo.
void write_oci_layout(const Image& image, const std::filesystem::path& dir, const std::string& tag);

}  // namespace pyro::testing
