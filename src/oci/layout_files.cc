// The files of an image layout.
#include "oci/layout_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "base/content_kind.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "base/tar_header.h"
#include "oci/image_layout.h"
#include "oci/manifest.h"
#include "pyro/error.h"

namespace pyro {
namespace {

Error no_file(const std::filesystem::path& layout, const std::string& name) {
  return Error(ErrorCode::integrity, name + " of " + layout.string() + " is not a regular file");
}

class DirectoryFiles final : public LayoutFiles {
 public:
  DirectoryFiles(Fd directory, std::filesystem::path path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  std::string_view transport() const noexcept override { return kLayoutDirectory; }

  // Follows no links, which could lead out of the layout, and does not wait for pipes.
  std::optional<LayoutFile> open(const std::string& name) const override {
    Fd folder;
    int parent = directory_.get();
    std::size_t begin = 0;
    for (std::size_t end; (end = name.find('/', begin)) != name.npos; begin = end + 1) {
      folder = open_in(parent, name.substr(begin, end - begin), O_DIRECTORY, name);
      if (!folder) return std::nullopt;
      parent = folder.get();
    }
    Fd file = open_in(parent, name.substr(begin), O_NONBLOCK, name);
    if (!file) return std::nullopt;
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) throw no_file(path_, name);
    const int descriptor = file.get();
    return LayoutFile{.own = std::move(file),
                      .file = descriptor,
                      .size = static_cast<std::uint64_t>(status.st_size)};
  }

 private:
  [[nodiscard]] Fd open_in(int parent, const std::string& component, int flags,
                           const std::string& name) const {
    Fd fd(try_open(parent, component.c_str(), O_RDONLY | O_NOFOLLOW | flags));
    if (fd || errno == ENOENT) return fd;
    // A link, a file in place of a folder, a socket.
    if (errno == ELOOP || errno == ENOTDIR || errno == ENXIO) throw no_file(path_, name);
    throw system_error("cannot open " + (path_ / name).string(), errno);
  }

  Fd directory_;
  std::filesystem::path path_;
};

class TarFiles final : public LayoutFiles {
 public:
  TarFiles(Fd file, TarIndex index, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)), index_(std::move(index)) {}

  std::string_view transport() const noexcept override { return kLayoutArchive; }

  std::optional<LayoutFile> open(const std::string& name) const override {
    const TarIndex::Entry* const entry = index_.find(name);
    if (entry == nullptr) return std::nullopt;
    if (!entry->regular) throw no_file(path_, name);
    return LayoutFile{.own = {}, .file = file_.get(), .offset = entry->offset, .size = entry->size};
  }

 private:
  Fd file_;
  std::filesystem::path path_;
  TarIndex index_;
};

using Json = nlohmann::json;

constexpr char kManifestFile[] = "manifest.json";

Error broken(const std::string& what) {
  return Error(ErrorCode::integrity, what);
}

std::string read_front(int file, const TarIndex::Entry& entry, std::size_t limit) {
  std::string text(static_cast<std::size_t>(std::min<std::uint64_t>(entry.size, limit)), '\0');
  text.resize(
      pread_full(file, std::as_writable_bytes(std::span(text)), entry.offset, kManifestFile));
  return text;
}

Json parse_document(const std::string& text, const std::string& name) {
  try {
    return parse_strict_json(text, ErrorCode::integrity);
  } catch (Error& error) {
    error.add_context(name);
    throw;
  }
}

/// The list of strings `name` in `object`; empty if it is missing or null.
std::vector<std::string> texts(const Json& object, const char* name) {
  const Json list = object.is_object() ? object.value(name, Json()) : Json();
  if (list.is_null()) return {};
  const bool fits = list.is_array() && std::ranges::all_of(list, &Json::is_string);
  if (!fits) throw broken('"' + std::string(name) + "\" is not a list of texts");
  return list.get<std::vector<std::string>>();
}

std::vector<Digest> diff_ids(const Json& config) {
  const Json rootfs = config.is_object() ? config.value("rootfs", Json()) : Json();
  std::vector<Digest> digests;
  for (const std::string& text : texts(rootfs, "diff_ids")) {
    const auto digest = Digest::parse(text);
    if (!digest) throw broken("a diff_id of its config is no SHA-256 digest");
    digests.push_back(*digest);
  }
  return digests;
}

/// The digest that tools put into names: "HEX.json", "sha256:HEX", "blobs/sha256/HEX",
/// "HEX.tar.gz".
std::optional<Digest> named_digest(std::string_view name) {
  name.remove_prefix(std::min(name.size(), name.rfind('/') + 1));
  if (name.starts_with("sha256:")) name.remove_prefix(7);
  return Digest::parse_hex(name.substr(0, name.find('.')));
}

Json descriptor_of(const char* type, const Digest& digest, std::uint64_t size) {
  return {{"mediaType", type}, {"digest", digest.to_string()}, {"size", size}};
}

}  // namespace

std::string layout_blob_name(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

Fd open_layout(const std::filesystem::path& path) {
  return open_at(AT_FDCWD, path.string(), O_RDONLY | O_NONBLOCK, 0, path);
}

std::string_view transport_in(const TarIndex& index, int file) {
  if (index.find("oci-layout") != nullptr) return kLayoutArchive;
  return is_docker_archive(index, file) ? kDockerArchive : std::string_view();
}

std::unique_ptr<LayoutFiles> open_layout_files(Fd opened, const std::filesystem::path& path,
                                               std::string_view transport) {
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0) {
    throw system_error("cannot look at " + path.string(), errno);
  }
  if (S_ISDIR(status.st_mode)) return std::make_unique<DirectoryFiles>(std::move(opened), path);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::filesystem, path.string() + " is neither a directory nor a file");
  }
  TarIndex index(opened.get(), path);
  if (transport == kDockerArchive || transport_in(index, opened.get()) == kDockerArchive) {
    return std::make_unique<DockerArchive>(std::move(opened), index, path);
  }
  return std::make_unique<TarFiles>(std::move(opened), std::move(index), path);
}

/// Fills the archive in one pass over manifest.json.
class DockerArchive::Reader {
 public:
  Reader(DockerArchive& archive, const TarIndex& index) : archive_(archive), index_(index) {}

  void run() {
    if (index_.find(kManifestFile) == nullptr) throw broken("it is not there");
    const Json images = parse_document(read(kManifestFile, kMaxManifestBytes), kManifestFile);
    if (!images.is_array()) throw broken(std::string(kManifestFile) + " is not a list of images");
    if (images.size() > kMaxManifests) {
      throw broken("there are " + std::to_string(images.size()) + " images; at most " +
                   std::to_string(kMaxManifests) + " are supported");
    }
    for (const Json& image : images) add_image(image);
    archive_.documents_.emplace("oci-layout", kLayoutVersion);
    archive_.documents_.emplace("index.json",
                                Json{{"schemaVersion", 2}, {"manifests", manifests_}}.dump());
  }

 private:
  void add_image(const Json& image) {
    const Json config_name = image.is_object() ? image.value("Config", Json()) : Json();
    if (!config_name.is_string()) throw broken("an image in it has no config");
    const std::string config = read_config(config_name.get<std::string>());
    const Digest digest = sha256(config);
    const Json manifest = {{"schemaVersion", 2},
                           {"mediaType", kDockerManifestType},
                           {"config", descriptor_of(kDockerConfigType, digest, config.size())},
                           {"layers", layers_of(texts(image, "Layers"),
                                                diff_ids(parse_document(config, config_name)))}};
    archive_.documents_.emplace(layout_blob_name(digest), config);
    list(manifest.dump(), texts(image, "RepoTags"));
  }

  void list(const std::string& manifest, const std::vector<std::string>& tags) {
    const Digest digest = sha256(manifest);
    Json entry = descriptor_of(kDockerManifestType, digest, manifest.size());
    archive_.documents_.emplace(layout_blob_name(digest), manifest);
    if (tags.empty()) manifests_.push_back(entry);
    for (const std::string& tag : tags) {
      entry["annotations"] = {{kRefName, tag}};
      manifests_.push_back(entry);
    }
  }

  Json layers_of(const std::vector<std::string>& names, const std::vector<Digest>& digests) {
    if (!digests.empty() && names.size() != digests.size()) {
      throw broken("an image has " + std::to_string(names.size()) + " layers, and its config " +
                   std::to_string(digests.size()) + " diff_ids");
    }
    Json layers = Json::array();
    for (std::size_t i = 0; i < names.size(); ++i) {
      layers.push_back(layer(names[i], digests.empty() ? std::nullopt : std::optional(digests[i])));
    }
    return layers;
  }

  /// A diff_id is the digest of the uncompressed tar. Without one, or if the tar is compressed, the
  /// name may have the digest of its bytes; else that is computed.
  Json layer(const std::string& name, std::optional<Digest> diff_id) {
    const TarIndex::Entry& entry = member(name);
    const std::string head = read_front(archive_.file_.get(), entry, kTarBlock);
    if (begins_as(std::as_bytes(std::span(head)), ContentUse::compressed)) diff_id.reset();
    const auto known = diff_id ? diff_id : named_digest(name);
    const Digest digest = known ? *known : digest_of(entry);
    archive_.blobs_.emplace(layout_blob_name(digest), entry);
    return descriptor_of(kOciLayerType, digest, entry.size);
  }

  [[nodiscard]] Digest digest_of(const TarIndex::Entry& entry) const {
    Sha256 sha256;
    std::vector<std::byte> piece(1 << 20);
    for (std::uint64_t done = 0; done < entry.size;) {
      const auto wanted = std::span(piece).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), entry.size - done)));
      const std::size_t got =
          pread_full(archive_.file_.get(), wanted, entry.offset + done, kManifestFile);
      if (got < wanted.size()) throw broken("a layer ends too early");
      sha256.update(wanted);
      done += got;
    }
    return sha256.finish();
  }

  /// Docker writes a layer that an image has twice as one file and a link to it.
  const TarIndex::Entry& member(const std::string& name) const {
    const TarIndex::Entry* entry = index_.find(name);
    const bool is_link = entry != nullptr && !entry->link.empty();
    if (is_link) entry = index_.find(entry->link);
    if (entry == nullptr) {
      throw broken("'" + name + "', which it names, " +
                   (is_link ? "links to a missing member" : "is not there"));
    }
    if (!entry->regular) throw broken("'" + name + "', which it names, is not a regular file");
    return *entry;
  }

  std::string read(const std::string& name, std::size_t limit) const {
    const TarIndex::Entry& entry = member(name);
    if (entry.size > limit) {
      throw broken(name + " has " + std::to_string(entry.size) + " bytes; at most " +
                   std::to_string(limit) + " are read");
    }
    return read_front(archive_.file_.get(), entry, limit);
  }

  std::string read_config(const std::string& name) {
    std::string config = read(name, std::min(kMaxManifestBytes, config_bytes_left_));
    config_bytes_left_ -= config.size();
    const auto named = named_digest(name);
    const Digest digest = sha256(config);
    if (named && *named != digest) {
      throw broken("the digest of the config " + name + " is " + digest.to_string());
    }
    return config;
  }

  DockerArchive& archive_;
  const TarIndex& index_;
  std::size_t config_bytes_left_ = kMaxConfigBytes;
  Json manifests_ = Json::array();
};

bool is_docker_archive(const TarIndex& index, int file) {
  const TarIndex::Entry* const entry = index.find(kManifestFile);
  if (entry == nullptr || !entry->regular) return false;
  const std::string head = read_front(file, *entry, kTarBlock);
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  return first != head.npos && head[first] == '[';
}

DockerArchive::DockerArchive(Fd file, const TarIndex& index, const std::filesystem::path& path)
    : file_(std::move(file)) {
  try {
    Reader(*this, index).run();
  } catch (Error& error) {
    error.add_context("cannot use the " + std::string(kManifestFile) + " of " + path.string());
    throw;
  }
}

std::optional<LayoutFile> DockerArchive::open(const std::string& name) const {
  if (const auto document = documents_.find(name); document != documents_.end()) {
    Fd memory = make_memory_file("a document of an image");
    write_all(memory.get(), document->second, name);
    const int descriptor = memory.get();
    return LayoutFile{
        .own = std::move(memory), .file = descriptor, .size = document->second.size()};
  }
  const auto blob = blobs_.find(name);
  if (blob == blobs_.end()) return std::nullopt;
  return LayoutFile{
      .own = {}, .file = file_.get(), .offset = blob->second.offset, .size = blob->second.size};
}

}  // namespace pyro
