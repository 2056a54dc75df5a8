// Writes an image layout as a tar.
#include "oci/layout_writer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/tar_header.h"
#include "oci/image_layout.h"

namespace pyro {
namespace {

constexpr char kOciManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kOciIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kOciConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr std::array<std::byte, kTarEnd> kZeros{};

nlohmann::json to_json(const Descriptor& descriptor) {
  nlohmann::json document = {{"mediaType", descriptor.media_type},
                             {"digest", descriptor.digest.to_string()},
                             {"size", descriptor.size}};
  if (descriptor.platform) {
    document["platform"] = {{"os", descriptor.platform->os},
                            {"architecture", descriptor.platform->architecture}};
  }
  if (!descriptor.annotations.empty()) document["annotations"] = descriptor.annotations;
  return document;
}

std::string render(const nlohmann::json& document) {
  return document.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

std::string config_of(const Digest& diff_id) {
  return render({{"architecture", "amd64"},
                 {"os", "linux"},
                 {"config", nlohmann::json::object()},
                 {"rootfs", {{"type", "layers"}, {"diff_ids", {diff_id.to_string()}}}}});
}

}  // namespace

LayoutWriter::LayoutWriter(OutputFile& file) : file_(file) {
  add_header("blobs/", 0);
  add_header("blobs/sha256/", 0);
}

void LayoutWriter::begin_blob() {
  blob_at_ = position_;
  position_ += kTarBlock;
  static_cast<void>(blob_hash_.finish());
}

void LayoutWriter::write(std::span<const std::byte> bytes) {
  blob_hash_.update(bytes);
  append(bytes);
}

Descriptor LayoutWriter::end_blob(std::string media_type) {
  const std::uint64_t size = position_ - blob_at_ - kTarBlock;
  const Digest digest = blob_hash_.finish();
  if (blobs_.insert(digest).second) {
    file_.write(make_tar_header(layout_blob_name(digest), size), blob_at_);
    pad(size);
  } else {
    position_ = blob_at_;
  }
  return {.media_type = std::move(media_type), .digest = digest, .size = size};
}

Digest LayoutWriter::add_image(const Descriptor& layer, const Digest& diff_id,
                               const Annotations& of_manifest, Annotations of_entry) {
  const Descriptor config = add_blob(config_of(diff_id), kOciConfigType);
  const nlohmann::json manifest = {{"schemaVersion", 2},
                                   {"mediaType", kOciManifestType},
                                   {"config", to_json(config)},
                                   {"layers", {to_json(layer)}},
                                   {"annotations", of_manifest}};
  Descriptor image = add_blob(render(manifest), kOciManifestType);
  image.platform = Platform{.os = "linux", .architecture = "amd64"};
  image.annotations = std::move(of_entry);
  images_.push_back(std::move(image));
  return images_.back().digest;
}

std::uint64_t LayoutWriter::finish() {
  nlohmann::json entries = nlohmann::json::array();
  std::ranges::transform(images_, std::back_inserter(entries), to_json);
  add_file("index.json",
           render({{"schemaVersion", 2}, {"mediaType", kOciIndexType}, {"manifests", entries}}));
  add_file("oci-layout", kLayoutVersion);
  append(kZeros);
  return position_;
}

Descriptor LayoutWriter::add_blob(std::string_view content, std::string media_type) {
  begin_blob();
  write(std::as_bytes(std::span(content)));
  return end_blob(std::move(media_type));
}

void LayoutWriter::add_file(std::string_view name, std::string_view content) {
  add_header(name, content.size());
  append(content);
  pad(content.size());
}

void LayoutWriter::add_header(std::string_view name, std::uint64_t size) {
  append(make_tar_header(name, size));
}

void LayoutWriter::append(std::span<const std::byte> bytes) {
  file_.write(bytes, position_);
  position_ += bytes.size();
}

void LayoutWriter::pad(std::uint64_t size) {
  append(std::span(kZeros).first(tar_padding(size)));
}

}  // namespace pyro
