// What `docker save` writes, read as an image layout.
//
// Source: moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format", and
// image/tarexport; containers-transports(5), "docker-archive".
//
// manifest.json lists images: a config and the tars of the layers, by their names in the archive.
// The name of the config has its digest, and the config has those of the layers ("diff_ids"). What
// an image layout has beyond that is made up from these, so that all digests of the archive are
// checked as those of any layout. A layer without one has that of its bytes.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "oci/layout_files.h"
#include "oci/tar_index.h"

namespace pyro {

/// Whether the tar has a list of images as its manifest.json; runtime bundles have others.
[[nodiscard]] bool is_docker_archive(const TarIndex& index, int file);

class DockerArchive final : public LayoutFiles {
 public:
  /// Of all configs together.
  static constexpr std::size_t kMostConfigBytes = std::size_t{16} << 20;

  /// The tar that `file` is open on; `path` is what errors call it.
  /// @throws Error(integrity) for a manifest.json that names what is not there, or configs that
  /// are not what their names say, or do not fit
  DockerArchive(Fd file, TarIndex index, std::filesystem::path path);

  [[nodiscard]] std::string_view transport() const noexcept override { return kDockerArchive; }
  [[nodiscard]] std::optional<LayoutFile> open(const std::string& name) const override;

 private:
  class Reader;

  Fd file_;
  std::map<std::string, std::string> documents_;  // that are in no archive, by name
  std::map<std::string, TarIndex::Entry> blobs_;  // by the names that a layout would give them
};

}  // namespace pyro
