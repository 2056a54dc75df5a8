// The files of an image layout: in a directory, in a tar, or in a `docker save` archive.
//
// Source: moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format", and
// image/tarexport; containers-transports(5), "docker-archive". POSIX.1-2017 pax, "ustar Interchange
// Format" and "pax Header Block"; GNU tar's manual, "Basic Tar Format", for sizes in base 256 and
// for long names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "pyro/digest.h"

namespace pyro {

/// The members of a tar that is not compressed, with the places of their contents: for random
/// access, which tar readers for streams do not have.
///
/// Supports the members of image layouts: plain files with short names. Reads headers and padding
/// only.
/// No name in it ever becomes a path.
class TarIndex {
 public:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool regular = true;    ///< False: a link, a device, a sparse file.
    std::string link = {};  ///< The member that a link leads to; empty if it leads out of the tar.
  };

  static constexpr std::size_t kMaxMembers = 10'000;
  /// The longest name in a layout is "blobs/sha256/" and 64 digits.
  static constexpr std::size_t kMaxName = 512;
  /// Bytes of all names together.
  static constexpr std::size_t kMaxText = std::size_t{2} << 20;

  /// Reads the headers of `file`, which stays the caller's; `path` is its name in errors. Ignores
  /// members with names longer than kMaxName.
  /// @throws Error(integrity) unless it is a complete tar, with names that stay within it, none
  /// twice.
  TarIndex(int file, const std::filesystem::path& path);

  /// Null without such a member. Names are without "./": "blobs/sha256/...".
  [[nodiscard]] const Entry* find(const std::string& name) const;

  [[nodiscard]] const std::map<std::string, Entry>& entries() const noexcept { return entries_; }

 private:
  std::map<std::string, Entry> entries_;
};

/// A file to be read with pread(2), from `offset` on.
struct LayoutFile {
  Fd own;  ///< Empty for a file in a tar, whose descriptor `file` is.
  int file = -1;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// The transports of skopeo and podman: a directory, a tar, a tar of `docker save`.
inline constexpr std::string_view kLayoutDirectory = "oci";
inline constexpr std::string_view kLayoutArchive = "oci-archive";
inline constexpr std::string_view kDockerArchive = "docker-archive";

/// The name of a blob in a layout.
[[nodiscard]] std::string layout_blob_name(const Digest& digest);

/// The files of a layout, by their names in it.
class LayoutFiles {
 public:
  virtual ~LayoutFiles() = default;

  /// One of the above.
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;

  /// Opens "index.json", "blobs/sha256/..."; valid as long as this is. Nothing without such a file.
  /// @throws Error(integrity) when it is not a regular file: a link, a FIFO, a directory;
  /// (filesystem)
  [[nodiscard]] virtual std::optional<LayoutFile> open(const std::string& name) const = 0;
};

/// Opens `path` for reading, whatever it is.
/// @throws Error(filesystem)
[[nodiscard]] Fd open_layout(const std::filesystem::path& path);

/// The transport of the images in a tar, which `file` is open on; empty without images.
[[nodiscard]] std::string_view transport_in(const TarIndex& index, int file);

/// The files in `opened`, a directory or an uncompressed tar; `path` is its name in errors. Docker
/// writes tars that are both kinds of archive: `transport` chooses one.
/// @throws Error(filesystem) when it is neither; (integrity) as TarIndex and DockerArchive
[[nodiscard]] std::unique_ptr<LayoutFiles> open_layout_files(Fd opened,
                                                             const std::filesystem::path& path,
                                                             std::string_view transport = {});

/// Whether manifest.json in the tar is a list of images; runtime bundles have another one.
[[nodiscard]] bool is_docker_archive(const TarIndex& index, int file);

/// An archive of `docker save`, read as an image layout.
///
/// Its manifest.json lists images: a config and the tars of the layers, by their names in the
/// archive. The name of the config contains its digest, and the config has those of the layers
/// ("diff_ids"). Index and manifests are made from these, so that all digests of the archive are
/// verified as those of any layout. For a layer without a diff_id, the digest of its bytes is
/// computed.
class DockerArchive final : public LayoutFiles {
 public:
  /// Bytes of all configs together.
  static constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

  /// The tar that `file` is open on; `path` is its name in errors.
  /// @throws Error(integrity) for a manifest.json that names missing files, and for configs that do
  /// not have the digests in their names, or do not fit
  DockerArchive(Fd file, const TarIndex& index, const std::filesystem::path& path);

  [[nodiscard]] std::string_view transport() const noexcept override { return kDockerArchive; }
  [[nodiscard]] std::optional<LayoutFile> open(const std::string& name) const override;

 private:
  class Reader;

  Fd file_;
  std::map<std::string, std::string> documents_;  // made from the archive, by name in a layout
  std::map<std::string, TarIndex::Entry> blobs_;  // by name in a layout
};

}  // namespace pyro
