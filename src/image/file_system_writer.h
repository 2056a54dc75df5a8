// Makes a file system from the contents of files, as they come, and from the tree that names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pyro/digest.h"

namespace pyro::image {

class Tree;

/// The content of a regular file, numbered by the writer in rising order.
using FileId = std::uint32_t;

struct FinishedFileSystem {
  std::uint64_t size = 0;  ///< In bytes; apparent.
  Digest digest;           ///< fs-verity.
};

struct FinishOptions {
  /// The least apparent size of the file system in bytes: it gets free blocks, and free inodes in
  /// proportion.
  std::uint64_t min_size = 0;
};

/// Contents are written as they come; all metadata follows behind them. So neither the size of the
/// file system nor the number of its files has to be known beforehand. The same calls give the same
/// bytes.
///
/// All functions throw Error(filesystem), and Error(integrity) above the limits of the format.
class FileSystemWriter {
 public:
  virtual ~FileSystemWriter() = default;

  /// Begins the content of a file; the last one has ended.
  [[nodiscard]] virtual FileId begin() = 0;

  /// A piece of it, behind the last one. A gap between two pieces is a hole.
  virtual void data(std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// Ends the file. From its last piece up to `size` there is a hole.
  virtual void end(std::uint64_t size) = 0;

  /// Frees the blocks of files that no tree will name. `files` is sorted.
  virtual void drop(std::span<const FileId> files) = 0;

  /// Writes the metadata; the last call. The caller syncs.
  virtual FinishedFileSystem finish(const Tree& tree, const FinishOptions& options) = 0;
};

}  // namespace pyro::image
