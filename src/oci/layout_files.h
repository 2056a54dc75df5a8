// The files of an image layout: a directory's, or a tar's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "oci/tar_index.h"
#include "pyro/digest.h"

namespace pyro {

/// One that can be read with pread(2), from `offset` on.
struct LayoutFile {
  Fd own;  ///< Empty where it lies in a tar, whose descriptor `file` is.
  int file = -1;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// What images lie in, as skopeo and podman call it: "oci", "oci-archive", "docker-archive".
inline constexpr std::string_view kLayoutDirectory = "oci";
inline constexpr std::string_view kLayoutArchive = "oci-archive";
inline constexpr std::string_view kDockerArchive = "docker-archive";

/// Where the blob is in a layout.
[[nodiscard]] std::string layout_blob_name(const Digest& digest);

class LayoutFiles {
 public:
  virtual ~LayoutFiles() = default;

  /// One of the above.
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;

  /// "index.json", "blobs/sha256/...". Valid as long as this is. Nothing where there is none.
  /// @throws Error(integrity) when it is something else than a file: a link, a FIFO, a directory;
  /// (filesystem)
  [[nodiscard]] virtual std::optional<LayoutFile> open(const std::string& name) const = 0;
};

/// What is at `path`, for reading; whatever that is.
/// @throws Error(filesystem)
[[nodiscard]] Fd open_layout(const std::filesystem::path& path);

/// What the tar that `file` is open on has images in; empty where it has none.
[[nodiscard]] std::string_view transport_in(const TarIndex& index, int file);

/// Whichever `opened` is: a directory or an uncompressed tar, told by looking; `path` is what
/// errors call it. Docker writes tars that are both kinds of archive: `transport` is the one that
/// is meant.
/// @throws Error(filesystem) when it is neither; (integrity) as TarIndex and DockerArchive
[[nodiscard]] std::unique_ptr<LayoutFiles> open_layout_files(Fd opened,
                                                             const std::filesystem::path& path,
                                                             std::string_view transport = {});

}  // namespace pyro
