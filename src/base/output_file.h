// Files that are written whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/files.h"

namespace pyro {

/// A new file that gets its name with commit(). Until then, an existing file of that name stays;
/// without commit() no file is left. Where the file system can, the file has no name at all in the
/// meantime, so that even a killed process leaves nothing. All code that replaces files uses this.
class NewFile {
 public:
  /// `mode` as for open(2): the umask counts. Errors name the file `shown`. A symbolic link of that
  /// name is replaced like a file; open_destination() opens its target.
  /// @throws Error(filesystem) when the file cannot be made, or the name belongs to a directory, a
  ///         device, a pipe or a socket: these are never replaced
  NewFile(Fd directory, std::string name, mode_t mode, std::string shown);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// For reading and writing.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }
  [[nodiscard]] int directory() const noexcept { return directory_.get(); }
  [[nodiscard]] const std::string& shown() const noexcept { return shown_; }

  /// Copies the permissions of the file that will be replaced, where there is one.
  void copy_permissions();
  /// Copies its owner, when this process is root's.
  /// @throws Error(filesystem)
  void copy_owner();

  /// Gives it its name, in one step.
  void commit();

 private:
  void require_replaceable() const;
  bool open_without_name(mode_t mode);
  bool give_name(const std::string& name);
  [[noreturn]] void fail(int error_number) const;

  Fd directory_;
  std::string name_;
  std::string shown_;
  std::string temporary_name_;  ///< Empty while it has none.
  Fd file_;
};

/// A NewFile at a path, written at any offset.
class OutputFile {
 public:
  /// @throws Error(filesystem) as NewFile does
  explicit OutputFile(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return file_.descriptor(); }

  void write(std::span<const std::byte> bytes, std::uint64_t offset);

  /// Cuts the file at `size`, makes it durable and gives it its name. A file that it replaces
  /// passes on its permissions.
  void commit(std::uint64_t size);

 private:
  [[noreturn]] void fail(int error_number) const;

  std::filesystem::path path_;
  NewFile file_;
};

/// Makes `content` the content of the file at `path`, new or not: at every moment the file holds
/// the old or the new content, and after returning the new one is durable. `mode` as for open(2):
/// the umask counts; root keeps the owner. Only files are replaced. The caller keeps others from
/// replacing the same file meanwhile.
/// @throws Error(filesystem), and nothing has changed.
void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode);
/// The same in the open directory of `path`.
void replace_file_at(int directory, const std::filesystem::path& path, std::string_view content,
                     mode_t mode);

/// A path that a user names as the file to write, understood as cp(1) does.
struct Destination {
  /// The file to make or replace: the end of the symbolic links in the last part of the path.
  std::filesystem::path path;
  /// Open when there is nothing to replace but something to write into: a device, a pipe, a
  /// descriptor of this process (/dev/stdout, /dev/fd/N).
  Fd stream = {};
};

/// @throws Error(filesystem) for a socket, and for a pipe without a reader
[[nodiscard]] Destination open_destination(std::filesystem::path path);

/// The end of the symbolic links in the last part of `path`, whether it exists or not: a user's
/// link to a file stays a link.
/// @throws Error(filesystem) for a circle of links
[[nodiscard]] std::filesystem::path follow_links(std::filesystem::path path);

/// A copy of the descriptor of this process that `path` leads to ("/dev/stdin" to 0); empty for
/// other paths.
[[nodiscard]] Fd duplicate_own_descriptor(std::filesystem::path path);

}  // namespace pyro
