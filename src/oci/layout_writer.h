// Writes an image layout as a tar.
//
// Source: OCI image specification, image-layout.md, manifest.md and config.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "base/sha256.h"
#include "oci/manifest.h"
#include "pyro/digest.h"

namespace pyro {

/// Blobs in the order they come, then the index. Each is there once, however often it is written.
class LayoutWriter {
 public:
  /// `file` is empty and must outlive it.
  explicit LayoutWriter(OutputFile& file);

  /// A blob of a size that is not known yet: begin, any number of writes, end.
  void begin_blob();
  void write(std::span<const std::byte> bytes);
  [[nodiscard]] Descriptor end_blob(std::string media_type);

  /// An image for our platform of one layer, whose uncompressed bytes are `diff_id`. The first
  /// annotations are the manifest's, and stay with it wherever it is copied; the others stand in
  /// the layout's index. The manifest's digest.
  Digest add_image(const Descriptor& layer, const Digest& diff_id, const Annotations& of_manifest,
                   Annotations of_entry);

  /// The index and the end. How many bytes it is all together.
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
  std::uint64_t blob_at_ = 0;  // of the header of the one that was begun
  Sha256 blob_hash_;
  std::set<Digest> blobs_;
  std::vector<Descriptor> images_;
};

}  // namespace pyro
