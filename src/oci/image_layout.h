// An image layout on this machine: images as a registry would have them, in files.
//
// Source: OCI image specification, image-layout.md; `skopeo copy ... oci:DIR:TAG` and
// `oci-archive:FILE:TAG` write them.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "net/http.h"
#include "oci/layout_files.h"
#include "oci/manifest.h"
#include "oci/resolve.h"
#include "pyro/digest.h"

namespace pyro {

inline constexpr std::string_view kLayoutVersion = R"({"imageLayoutVersion":"1.0.0"})";

class ImageLayout {
 public:
  /// A directory, or a tar that is not compressed: of a layout, or as `docker save` writes it
  /// (oci/docker_archive.h).
  /// @throws Error(filesystem) when it cannot be read; (integrity) when it is no image layout
  explicit ImageLayout(const std::filesystem::path& path);

  /// What is open already; see open_layout_files().
  ImageLayout(Fd opened, std::filesystem::path path, std::string_view transport = {});

  /// See oci/layout_files.h.
  [[nodiscard]] std::string_view transport() const noexcept { return files_->transport(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// All that index.json lists.
  [[nodiscard]] const std::vector<Descriptor>& images() const noexcept { return index_.manifests; }

  /// The entry of that digest, or null.
  [[nodiscard]] const Descriptor* find(const Digest& digest) const;

  /// The image whose kRefName is `tag`; without one, the only image there is. Where several entries
  /// have the tag, they are its platforms.
  /// @throws Error(not_found) when there is no such image, or it is not clear which one is meant;
  /// (integrity) when it is not for this platform, or is damaged
  [[nodiscard]] ResolvedImage resolve(const std::string& tag) const;

  /// The image of one entry.
  [[nodiscard]] ResolvedImage resolve(const Descriptor& image) const;

  /// The bytes of a layer go to `sink` as they are read, not verified; returning means that their
  /// size and digest are the descriptor's.
  /// @throws Error(integrity) when they are not, or it is not there; (interrupted); and what `sink`
  /// throws, as it is
  void read_blob(const Descriptor& blob, const BodySink& sink, const std::stop_token& stop) const;

 private:
  [[nodiscard]] std::string read_small(const std::string& name, std::size_t limit) const;
  [[nodiscard]] LayoutFile open_blob(const Descriptor& blob) const;
  [[nodiscard]] std::string read_verified(const Descriptor& descriptor) const;
  [[nodiscard]] Document read_document(const Descriptor& descriptor) const;
  /// Empty where it is not there.
  [[nodiscard]] std::string read_config(const Descriptor& descriptor) const;
  [[nodiscard]] std::vector<Descriptor> tagged(const std::string& tag) const;
  [[nodiscard]] std::vector<Descriptor> only_image() const;
  [[nodiscard]] ResolvedImage resolve_entries(std::vector<Descriptor> entries) const;

  std::filesystem::path path_;
  std::unique_ptr<LayoutFiles> files_;
  Index index_;
};

}  // namespace pyro
