// An image layout on this machine, read and written.
#include "oci/image_layout.h"

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "base/errors.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "base/tar_header.h"
#include "oci/container_config.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxVersionBytes = std::size_t{64} << 10;
constexpr std::size_t kReadSize = std::size_t{256} << 10;
constexpr char kNoLayout[] =
    "this takes a directory or a tar as 'skopeo copy', 'docker save' and 'pyro env export' write "
    "them";

Error damaged(const std::string& what) {
  return Error(ErrorCode::integrity, what);
}

void check_version(const std::string& text) {
  const nlohmann::json document = parse_strict_json(text, ErrorCode::integrity);
  const auto version = document.is_object() ? document.value("imageLayoutVersion", nlohmann::json())
                                            : nlohmann::json();
  if (!version.is_string()) throw damaged("it has no imageLayoutVersion");
  if (version != "1.0.0") {
    throw damaged("its imageLayoutVersion is " + version.get<std::string>() + ", not 1.0.0");
  }
}

/// The tags of `entries`, for a message.
std::string list_tags(const std::vector<Descriptor>& entries) {
  std::set<std::string_view> tags;
  for (const Descriptor& entry : entries) {
    if (const auto tag = annotation(entry.annotations, kRefName); !tag.empty()) tags.insert(tag);
  }
  std::string list;
  for (const std::string_view tag : tags) (list += list.empty() ? "" : ", ") += tag;
  return list;
}

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

std::string config_of(const Digest& diff_id, const ContainerConfig& config) {
  return render({{"architecture", "amd64"},
                 {"os", "linux"},
                 {"config", write_container_config(config)},
                 {"rootfs", {{"type", "layers"}, {"diff_ids", {diff_id.to_string()}}}}});
}

}  // namespace

ImageLayout::ImageLayout(const std::filesystem::path& path)
    : ImageLayout(open_layout(path), path) {}

ImageLayout::ImageLayout(Fd opened, std::filesystem::path path, std::string_view transport)
    : path_(std::move(path)), files_(open_layout_files(std::move(opened), path_, transport)) {
  with_context(path_.string() + " is not an image layout", [&] {
    try {
      check_version(read_small("oci-layout", kMaxVersionBytes));
    } catch (Error& error) {
      error.add_hint(kNoLayout);
      throw;
    }
  });
  with_context("cannot use the index of " + path_.string(), [&] {
    auto content = parse_manifest(read_small("index.json", kMaxManifestBytes), {});
    auto* const index = std::get_if<Index>(&content);
    if (index == nullptr) throw damaged("it is a manifest");
    index_ = std::move(*index);
  });
}

std::string ImageLayout::read_small(const std::string& name, std::size_t limit) const {
  const auto file = files_->open(name);
  if (!file) throw damaged("it has no " + name);
  if (file->size > limit) {
    throw damaged(name + " has " + std::to_string(file->size) + " bytes; at most " +
                  std::to_string(limit) + " are read");
  }
  std::string text(static_cast<std::size_t>(file->size), '\0');
  text.resize(pread_full(file->file, std::as_writable_bytes(std::span(text)), file->offset, name));
  return text;
}

LayoutFile ImageLayout::open_blob(const Descriptor& blob) const {
  auto file = files_->open(layout_blob_name(blob.digest));
  if (!file) throw damaged("it is not there");
  if (file->size != blob.size) {
    throw damaged("it has " + std::to_string(file->size) + " bytes instead of " +
                  std::to_string(blob.size));
  }
  return std::move(*file);
}

std::string ImageLayout::read_verified(const Descriptor& descriptor) const {
  static_cast<void>(open_blob(descriptor));
  std::string text = read_small(layout_blob_name(descriptor.digest), kMaxManifestBytes);
  const Digest digest = sha256(text);
  if (digest != descriptor.digest) throw damaged("its digest is " + digest.to_string());
  return text;
}

Document ImageLayout::read_document(const Descriptor& descriptor) const {
  return with_context(
      "cannot read the manifest " + descriptor.digest.to_string() + " of " + path_.string(),
      [&]() -> Document {
        return {descriptor.digest,
                parse_manifest(read_verified(descriptor), descriptor.media_type)};
      });
}

std::string ImageLayout::read_config(const Descriptor& descriptor) const {
  if (!files_->open(layout_blob_name(descriptor.digest))) return {};
  return with_context(
      "cannot read the config " + descriptor.digest.to_string() + " of " + path_.string(),
      [&] { return read_verified(descriptor); });
}

std::vector<Descriptor> ImageLayout::tagged(const std::string& tag) const {
  std::vector<Descriptor> entries;
  std::ranges::copy_if(index_.manifests, std::back_inserter(entries), [&](const Descriptor& entry) {
    return annotation(entry.annotations, kRefName) == tag;
  });
  if (!entries.empty()) return entries;
  const std::string tags = list_tags(index_.manifests);
  throw Error(ErrorCode::not_found, path_.string() + " has no image '" + tag + "'",
              tags.empty() ? "its images have no names" : "it has: " + tags);
}

/// One image, for any number of platforms.
std::vector<Descriptor> ImageLayout::only_image() const {
  if (index_.manifests.empty()) {
    throw Error(ErrorCode::not_found, path_.string() + " has no image");
  }
  std::set<std::string_view> tags;
  for (const Descriptor& entry : index_.manifests) {
    tags.insert(annotation(entry.annotations, kRefName));
  }
  const bool platforms = std::ranges::all_of(
      index_.manifests, [](const Descriptor& entry) { return entry.platform.has_value(); });
  const bool same = std::ranges::all_of(index_.manifests, [&](const Descriptor& entry) {
    return entry.digest == index_.manifests.front().digest;
  });
  if (same || (tags.size() == 1 && platforms)) return index_.manifests;
  const std::string names = list_tags(index_.manifests);
  throw Error(ErrorCode::not_found, path_.string() + " has more than one image",
              names.empty() ? "they have no names to choose by" : "choose one of: " + names);
}

ResolvedImage ImageLayout::resolve(const Descriptor& image) const {
  struct Documents final : DocumentSource {
    explicit Documents(const ImageLayout& of) : layout(of) {}
    Document document(const Descriptor& child) override { return layout.read_document(child); }
    std::string config(const Descriptor& descriptor) override {
      return layout.read_config(descriptor);
    }
    const ImageLayout& layout;
  };
  Documents documents(*this);
  return resolve_platform(read_document(image), image.digest.to_string(), ErrorCode::integrity,
                          documents);
}

/// Chooses among several entries as from an index.
ResolvedImage ImageLayout::resolve_entries(std::vector<Descriptor> entries) const {
  const Index index{.media_type = {}, .manifests = std::move(entries)};
  const Descriptor* const match = choose_platform(index);
  if (match != nullptr) return resolve(*match);
  const auto candidates = entries_without_platform(index);
  if (!candidates.empty()) return resolve(candidates.front());
  const std::string platforms = list_platforms(index);
  Error error =
      damaged(platforms.empty() ? "it names no platform at all" : "there is only " + platforms);
  error.add_context(path_.string() + " has no image for linux/amd64");
  throw error;
}

const Descriptor* ImageLayout::find(const Digest& digest) const {
  const auto found = std::ranges::find(index_.manifests, digest, &Descriptor::digest);
  return found == index_.manifests.end() ? nullptr : &*found;
}

ResolvedImage ImageLayout::resolve(const std::string& tag) const {
  return resolve_entries(tag.empty() ? only_image() : tagged(tag));
}

void ImageLayout::read_blob(const Descriptor& blob, const BodySink& sink,
                            const std::stop_token& stop) const {
  const std::string subject =
      "cannot read the layer " + blob.digest.to_string() + " of " + path_.string();
  const LayoutFile file = with_context(subject, [&] { return open_blob(blob); });
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
  Sha256 hash;
  for (std::uint64_t at = 0; at < file.size;) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    const std::span bytes(buffer.get(), std::min<std::uint64_t>(kReadSize, file.size - at));
    pread_all(file.file, bytes, file.offset + at, path_.string());
    hash.update(bytes);
    sink(bytes);
    at += bytes.size();
  }
  const Digest digest = hash.finish();
  if (digest != blob.digest) {
    with_context(subject, [&]() -> void { throw damaged("its digest is " + digest.to_string()); });
  }
}

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
                               const ContainerConfig& config, const Annotations& of_manifest,
                               Annotations of_entry) {
  const Descriptor config_blob = add_blob(config_of(diff_id, config), kOciConfigType);
  const nlohmann::json manifest = {{"schemaVersion", 2},
                                   {"mediaType", kOciManifestType},
                                   {"config", to_json(config_blob)},
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
