// Flattens the layers of a container image.
#include "image/flatten.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "image/ext4_writer.h"
#include "image/layers.h"
#include "pyro/error.h"
#include "stream/artifacts.h"
#include "stream/decompress.h"
#include "stream/hole_finder.h"
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

/// One layer, from its compressed bytes to entries and contents.
class TarLayer {
 public:
  TarLayer(LayerStream& stream, Checksums checksums, OutputRing& ring, UnpackedBytes& unpacked)
      : decompressor_(open_decompressor([&stream] { return stream.next(); }, ring, checksums)),
        unpacked_(unpacked),
        must_have_end_(checksums == Checksums::check),
        tar_([this] { return next_block(); }) {}

  void read_into(Layers& layers, FileSystemWriter& writer) {
    layers.begin_layer();
    while (auto member = tar_.next()) {
      const std::uint64_t size = member->size;
      const LayerEntry entry = entry_of(std::move(*member), tar_.attributes());
      if (layers.add(entry)) write_content(entry.path, size, writer);
    }
    if (must_have_end_ && !tar_.has_end()) {
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
  const bool must_have_end_;  // of bytes that are compared with no digest
  TarReader tar_;             // last: it reads from the others
};

/// What would boot into nothing: an environment's image, or an archive of images.
void refuse_other_kinds(const Tree& tree) {
  const auto has_files = [&](std::string_view one, std::string_view other) {
    return std::ranges::all_of(std::array{one, other}, [&](std::string_view name) {
      const EntryId entry = tree.find(Tree::kRoot, name);
      return entry != kNone && tree.inode_of(entry).type == InodeType::file;
    });
  };
  if (has_files(kArtifactKinds[kKernel].name, kArtifactKinds[kRootfs].name)) {
    throw Error(ErrorCode::integrity, "it is an environment, not a container image",
                "it has a kernel of its own: add it without --container");
  }
  if (has_files("oci-layout", "index.json") || has_files("manifest.json", "repositories")) {
    throw Error(ErrorCode::integrity, "it is an archive of images, not a root file system",
                "images are found in a file: save it, and add that");
  }
}

}  // namespace

FinishedFileSystem flatten_layers(LayerStream& layers, int file, const ExtractionLimits& limits) {
  Ext4Writer writer(file, limits.rootfs_bytes);
  Layers merged(writer);
  OutputRing ring;
  UnpackedBytes unpacked(limits);
  while (const auto form = layers.next_layer()) {
    TarLayer(layers, form->checksums, ring, unpacked).read_into(merged, writer);
  }
  refuse_other_kinds(merged.tree());
  return writer.finish(merged.tree(), {});
}

}  // namespace pyro::image
