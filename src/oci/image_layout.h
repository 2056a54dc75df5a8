// An image layout on this machine, read and written.
//
// Source: OCI image specification, image-layout.md, manifest.md and config.md; `skopeo copy ...
// oci:DIR:TAG` and `oci-archive:FILE:TAG` write layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/output_file.h"
#include "net/http.h"
#include "oci/layout_files.h"
#include "oci/manifest.h"
#include "pyro/container_config.h"
#include "pyro/digest.h"

namespace pyro {

inline constexpr std::string_view kLayoutVersion = R"({"imageLayoutVersion":"1.0.0"})";

/// An image layout to read from.
class ImageLayout {
 public:
  /// A directory, or a tar that is not compressed: of a layout, or as `docker save` writes it.
  /// @throws Error(filesystem) when it cannot be read; (integrity) when it is no image layout
  explicit ImageLayout(const std::filesystem::path& path);

  /// The same for an open descriptor; see open_layout_files().
  ImageLayout(Fd opened, std::filesystem::path path, std::string_view transport = {});

  /// See oci/layout_files.h.
  [[nodiscard]] std::string_view transport() const noexcept { return files_->transport(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// The entries of index.json.
  [[nodiscard]] const std::vector<Descriptor>& images() const noexcept { return index_.manifests; }

  /// The entry of that digest, or null.
  [[nodiscard]] const Descriptor* find(const Digest& digest) const;

  /// The image whose kRefName is `tag`; the only image if that is empty. Several entries with the
  /// tag are its platforms.
  /// @throws Error(not_found) when there is no such image, or more than one; (integrity) when it is
  /// not for this platform, or is damaged
  [[nodiscard]] ResolvedImage resolve(const std::string& tag) const;

  /// The image of one entry.
  [[nodiscard]] ResolvedImage resolve(const Descriptor& image) const;

  /// The text of an image's config, verified; empty if it is not there.
  /// @throws Error(integrity)
  [[nodiscard]] std::string read_config(const Descriptor& descriptor) const;

  /// Sends the bytes of a layer to `sink` as they are read, not verified; returning means that they
  /// have the size and digest of the descriptor.
  /// @throws Error(integrity) for wrong bytes, or a missing layer; (interrupted); exceptions
  /// of `sink`, unchanged
  void read_blob(const Descriptor& blob, const BodySink& sink, const std::stop_token& stop) const;

 private:
  [[nodiscard]] std::string read_small(const std::string& name, std::size_t limit) const;
  [[nodiscard]] LayoutFile open_blob(const Descriptor& blob) const;
  [[nodiscard]] std::string read_verified(const Descriptor& descriptor) const;
  [[nodiscard]] Document read_document(const Descriptor& descriptor) const;
  [[nodiscard]] std::vector<Descriptor> tagged(const std::string& tag) const;
  [[nodiscard]] std::vector<Descriptor> only_image() const;
  [[nodiscard]] ResolvedImage resolve_entries(std::vector<Descriptor> entries) const;

  std::filesystem::path path_;
  std::unique_ptr<LayoutFiles> files_;
  Index index_;
};

/// Writes an image layout as a tar: blobs in order, each once, then the index.
class LayoutWriter {
 public:
  /// `file` is empty and must outlive it.
  explicit LayoutWriter(OutputFile& file);

  /// For a blob of unknown size: begin, any number of writes, end.
  void begin_blob();
  void write(std::span<const std::byte> bytes);
  [[nodiscard]] Descriptor end_blob(std::string media_type);

  /// Adds an image of one layer for this platform; `diff_id` is the digest of the uncompressed
  /// layer. Annotations of the manifest stay with it wherever it is copied; those of the entry are
  /// in the index of the layout.
  /// @returns the digest of the manifest.
  Digest add_image(const Descriptor& layer, const Digest& diff_id, const ContainerConfig& config,
                   const Annotations& of_manifest, Annotations of_entry);

  /// Writes the index and the end of the tar.
  /// @returns the size of the tar.
  [[nodiscard]] std::uint64_t finish();

 private:
  [[nodiscard]] Descriptor add_blob(std::string_view content, std::string media_type);
  void add_file(std::string_view name, std::string_view content);
  void add_header(std::string_view name, std::uint64_t size);
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }
  void pad(std::uint64_t size);

  OutputFile& file_;
  std::uint64_t position_ = 0;
  std::uint64_t blob_at_ = 0;  // position of the header of the current blob
  Sha256 blob_hash_;
  std::set<Digest> blobs_;
  std::vector<Descriptor> images_;
};

}  // namespace pyro
