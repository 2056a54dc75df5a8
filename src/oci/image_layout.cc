// An image layout on this machine.
#include "oci/image_layout.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "base/sha256.h"
#include "base/strict_json.h"
#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kMostVersionBytes = std::size_t{64} << 10;
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

/// What names the entries have, for a message.
std::string list_tags(const std::vector<Descriptor>& entries) {
  std::set<std::string_view> tags;
  for (const Descriptor& entry : entries) {
    if (const auto tag = annotation(entry.annotations, kRefName); !tag.empty()) tags.insert(tag);
  }
  std::string list;
  for (const std::string_view tag : tags) (list += list.empty() ? "" : ", ") += tag;
  return list;
}

/// Runs `work`, and says of what its failure is.
template <typename Work>
auto about(const std::string& subject, const Work& work) {
  try {
    return work();
  } catch (Error& error) {
    if (error.code() != ErrorCode::interrupted) error.add_context(subject);
    throw;
  }
}

}  // namespace

ImageLayout::ImageLayout(const std::filesystem::path& path)
    : ImageLayout(open_layout(path), path) {}

ImageLayout::ImageLayout(Fd opened, std::filesystem::path path, std::string_view transport)
    : path_(std::move(path)), files_(open_layout_files(std::move(opened), path_, transport)) {
  about(path_.string() + " is not an image layout", [&] {
    try {
      check_version(read_small("oci-layout", kMostVersionBytes));
    } catch (Error& error) {
      error.add_hint(kNoLayout);
      throw;
    }
  });
  about("cannot use the index of " + path_.string(), [&] {
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
  return about(
      "cannot read the manifest " + descriptor.digest.to_string() + " of " + path_.string(),
      [&]() -> Document {
        return {descriptor.digest,
                parse_manifest(read_verified(descriptor), descriptor.media_type)};
      });
}

std::string ImageLayout::read_config(const Descriptor& descriptor) const {
  if (!files_->open(layout_blob_name(descriptor.digest))) return {};
  return about("cannot read the config " + descriptor.digest.to_string() + " of " + path_.string(),
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

/// Without a tag there must be one image, for as many platforms as it may be.
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

/// One entry is the image. Of several, one is chosen as from an index, which they are a part of.
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
  const LayoutFile file = about(subject, [&] { return open_blob(blob); });
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
    about(subject, [&]() -> void { throw damaged("its digest is " + digest.to_string()); });
  }
}

}  // namespace pyro
