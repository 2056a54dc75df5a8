// Flattens layers.
#include "image/flatten.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "image/boot_files.h"
#include "image/ext4_writer.h"
#include "image/layers.h"
#include "pyro/digest.h"
#include "pyro/error.h"
#include "stream/artifacts.h"
#include "stream/decompress.h"
#include "stream/hole_finder.h"
#include "stream/merged_view.h"
#include "stream/output_ring.h"
#include "stream/tar.h"

namespace pyro::image {
namespace {

/// The bytes of all layers, unpacked.
class UnpackedBytes {
 public:
  explicit UnpackedBytes(const ExtractionLimits& limits)
      : limit_(std::max(limits.rootfs_bytes, limits.rootfs_bytes + limits.other_bytes)) {}

  /// @throws Error(integrity) above the limit
  void count(std::size_t bytes) {
    counted_ += bytes;
    if (counted_ <= limit_) return;
    throw Error(ErrorCode::integrity, "the layers unpack to more than " + mib(limit_),
                "raise the limit with --max-size");
  }

 private:
  std::uint64_t limit_;
  std::uint64_t counted_ = 0;
};

LayerEntry::Type entry_type(TarMember::Type type, bool is_block_device) {
  switch (type) {
    case TarMember::Type::file:
      return LayerEntry::Type::file;
    case TarMember::Type::directory:
      return LayerEntry::Type::directory;
    case TarMember::Type::symlink:
      return LayerEntry::Type::symlink;
    case TarMember::Type::hardlink:
      return LayerEntry::Type::hard_link;
    case TarMember::Type::device:
      return is_block_device ? LayerEntry::Type::block_device : LayerEntry::Type::character_device;
    case TarMember::Type::fifo:
      return LayerEntry::Type::fifo;
    case TarMember::Type::other:
      break;
  }
  return LayerEntry::Type::other;
}

LayerEntry entry_of(TarMember member, TarAttributes attributes) {
  LayerEntry entry{
      .path = std::move(member.path),
      .type = entry_type(member.type, attributes.is_block_device),
      .mode = attributes.mode,
      .uid = attributes.uid,
      .gid = attributes.gid,
      .modified = {attributes.modified_seconds, attributes.modified_nanoseconds},
      .device_major = attributes.device_major,
      .device_minor = attributes.device_minor,
      .link_target = std::move(member.link_target),
      .access_acl = std::move(attributes.access_acl),
      .default_acl = std::move(attributes.default_acl),
  };
  for (auto& [name, value] : attributes.xattrs) {
    entry.xattrs.push_back({std::move(name), std::move(value)});
  }
  return entry;
}

/// The content of one file, without its holes.
class Content final : public DataSink {
 public:
  explicit Content(FileSystemWriter& writer) : writer_(writer) {}

  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime) override {
    writer_.data(offset, bytes);
  }

 private:
  FileSystemWriter& writer_;
};

/// Finds out whether the members of a tar are those of an archive of images, as `docker save` and
/// others write it: it would boot into nothing, too.
class ImageArchiveCheck {
 public:
  /// @throws Error(integrity) at the first file, where that tells
  void add(const TarMember& member) {
    if (member.type != TarMember::Type::file) return;
    const std::string_view path = without_dot(member.path);
    const bool is_first = !std::exchange(has_files_, true);
    has_blobs_ = has_blobs_ || is_blob(path);
    has_index_ = has_index_ || path == "oci-layout" || path == "manifest.json";
    if (is_first && has_blobs_) refuse();
  }

  /// @throws Error(integrity)
  void finish() const {
    if (has_blobs_ && has_index_) refuse();
  }

 private:
  static std::string_view without_dot(std::string_view path) {
    return path.starts_with("./") ? path.substr(2) : path;
  }

  /// "blobs/sha256/HEX", "HEX.json", "HEX/layer.tar", "sha256:HEX"
  static bool is_blob(std::string_view path) {
    constexpr std::size_t kHexDigits = 64;
    for (const std::string_view prefix : {"blobs/sha256/", "sha256:"}) {
      if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
    }
    return Digest::parse_hex(path.substr(0, kHexDigits)).has_value();
  }

  [[noreturn]] static void refuse() {
    throw Error(ErrorCode::integrity, "it is an archive of images, not a root file system",
                "images are found in a file: save it, and add that");
  }

  bool has_files_ = false;
  bool has_blobs_ = false;
  bool has_index_ = false;
};

/// One layer, from its compressed bytes to entries and contents.
class TarLayer {
 public:
  TarLayer(LayerStream& stream, Checksums checksums, OutputRing& ring, UnpackedBytes& unpacked)
      : decompressor_(open_decompressor([&stream] { return stream.next(); }, ring, checksums)),
        unpacked_(unpacked),
        is_archive_(checksums == Checksums::check),
        tar_([this] { return next_block(); }) {}

  /// Members of `boot_files`, which may be null, go there.
  void read_into(Layers& layers, FileSystemWriter& writer, BootFiles* boot_files) {
    layers.begin_layer();
    ImageArchiveCheck images;
    while (auto member = tar_.next()) {
      if (is_archive_) images.add(*member);
      const std::uint64_t size = member->size;
      const LayerEntry entry = entry_of(std::move(*member), tar_.attributes());
      if (boot_files != nullptr && boot_files->take(entry, size, tar_)) continue;
      if (layers.add(entry)) write_content(entry.path, size, writer);
    }
    images.finish();
    if (is_archive_ && !tar_.has_end()) {
      throw Error(ErrorCode::integrity, "it is cut off: nothing marks its end");
    }
    tar_.finish();
    layers.end_layer();
  }

 private:
  std::span<const std::byte> next_block() {
    const auto block = decompressor_->next(0);
    unpacked_.count(block.size());
    return block;
  }

  void write_content(const std::string& path, std::uint64_t size, FileSystemWriter& writer) try {
    Content content(writer);
    HoleFinder holes(content, size);
    while (const auto data = tar_.next_data()) {
      holes.feed(data->offset, data->bytes, Lifetime::call);
    }
    holes.finish();
    writer.end(size);
  } catch (Error& error) {
    if (error.code() == ErrorCode::integrity) {
      error.add_context("cannot unpack " + in_quotes(path));
    }
    throw;
  }

  std::unique_ptr<Decompressor> decompressor_;
  UnpackedBytes& unpacked_;
  const bool is_archive_;  // of its own: compared with no digest
  TarReader tar_;          // last: it reads from the others
};

/// An environment's image would boot into nothing.
void refuse_environment(const Tree& tree) {
  const auto has_file = [&](std::size_t kind) {
    const EntryId entry = tree.find(Tree::kRoot, kArtifactKinds[kind].name);
    return entry != kNone && tree.inode_of(entry).type == InodeType::file;
  };
  if (!has_file(kKernel) || !has_file(kRootfs)) return;
  throw Error(ErrorCode::integrity, "it is an environment, not a container image",
              "it has a kernel of its own: add it without --container");
}

/// The file system of all layers, up to its metadata.
class Flattening {
 public:
  Flattening(int file, const ExtractionLimits& limits)
      : writer_(file, limits.rootfs_bytes), merged_(writer_), unpacked_(limits) {}

  void read(LayerStream& layers, BootFiles* boot_files) {
    while (const auto form = layers.next_layer()) {
      TarLayer(layers, form->checksums, ring_, unpacked_).read_into(merged_, writer_, boot_files);
    }
  }
  [[nodiscard]] FinishedFileSystem finish(std::uint64_t min_size) {
    return writer_.finish(merged_.tree(), {.min_size = min_size});
  }

  [[nodiscard]] const Tree& tree() const { return merged_.tree(); }
  [[nodiscard]] std::uint64_t content_size() const { return writer_.size(); }
  [[nodiscard]] OutputRing& ring() { return ring_; }

 private:
  Ext4Writer writer_;
  Layers merged_;
  OutputRing ring_;
  UnpackedBytes unpacked_;
};

}  // namespace

FinishedFileSystem flatten_layers(LayerStream& layers, int file, const ExtractionLimits& limits) {
  Flattening flattening(file, limits);
  flattening.read(layers, nullptr);
  refuse_environment(flattening.tree());
  return flattening.finish(0);
}

std::vector<WrittenArtifact> flatten_distribution(LayerStream& layers,
                                                  const std::vector<int>& files,
                                                  const ExtractionLimits& limits,
                                                  std::uint64_t size) {
  Flattening flattening(files[kArchiveFile], limits);
  BootFiles boot_files;
  flattening.read(layers, &boot_files);
  auto artifacts = std::move(boot_files).write(files, limits, flattening.ring());
  const std::uint64_t content = flattening.content_size();
  const auto [made, digest] = flattening.finish(size > 0 ? size : content + content / 4);
  if (size > 0 && made - size >= ext4::kBlockSize) {
    throw Error(
        ErrorCode::failed,
        "its file system takes " + mib(made) + ", more than the " + mib(size) + " asked for",
        "ask for more, or for none to get a quarter of it as free space");
  }
  artifacts.push_back({.kind = kRootfs, .file = kArchiveFile, .size = made, .digest = digest});
  return artifacts;
}

}  // namespace pyro::image
