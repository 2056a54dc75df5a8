// The files of an image layout: a directory's, or a tar's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/files.h"

namespace pyro {

/// One that can be read with pread(2), from `offset` on.
struct LayoutFile {
  Fd own;  ///< Empty where it lies in a tar, whose descriptor `file` is.
  int file = -1;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

class LayoutFiles {
 public:
  virtual ~LayoutFiles() = default;

  /// "index.json", "blobs/sha256/...". Valid as long as this is. Nothing where there is none.
  /// @throws Error(integrity) when it is something else than a file: a link, a FIFO, a directory;
  /// (filesystem)
  [[nodiscard]] virtual std::optional<LayoutFile> open(const std::string& name) const = 0;
};

/// Whichever `path` is: a directory or an uncompressed tar, told by looking.
/// @throws Error(filesystem) when it cannot be opened or is neither; (integrity) as TarIndex
[[nodiscard]] std::unique_ptr<LayoutFiles> open_layout_files(const std::filesystem::path& path);

}  // namespace pyro
