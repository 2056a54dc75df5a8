// Files and directories by descriptor: opened close-on-exec, closed by a destructor, errors that
// name the path.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyro/error.h"

namespace pyro {

/// An open file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Error(filesystem) "<what>: <text of errno>".
[[nodiscard]] Error system_error(std::string what, int error_number);

/// openat(2) with O_CLOEXEC; `path` is what the error names.
/// @throws Error(filesystem)
[[nodiscard]] Fd open_at(int directory, const std::string& name, int flags, mode_t mode,
                         const std::filesystem::path& path);

/// The directory at `path`, through symbolic links.
[[nodiscard]] Fd open_directory(const std::filesystem::path& path);

/// The directory that is called so in `directory`, links not followed; empty, with errno set, when
/// it cannot be opened.
[[nodiscard]] Fd try_open_directory(int directory, const std::string& name) noexcept;

/// An empty file in memory, without a name in any directory; `subject` says in errors what it is.
[[nodiscard]] Fd make_memory_file(const char* subject);

/// Makes `path` and what is missing above it, with that mode less the umask.
void make_directories(const std::filesystem::path& path, mode_t mode = 0755);

/// Makes the directory that is opened, too.
[[nodiscard]] Fd make_and_open_directory(const std::filesystem::path& path);

void sync_file(int fd, const std::filesystem::path& path);

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
void pwrite_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                const std::string& subject);
/// The number of bytes read: fewer than asked for only at the end of the file.
[[nodiscard]] std::size_t pread_full(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                                     const std::string& subject);

/// The content of a regular file of at most `limit` bytes, not through a final symbolic link and
/// without blocking on a FIFO; nothing when there is no such file, it is something
/// else, or it cannot be read.
[[nodiscard]] std::optional<std::string> read_small_file_at(int directory, const std::string& name,
                                                            std::size_t limit);

/// Removes `name` in `directory` and everything below it; never follows a symbolic link. Something
/// that is not there is removed already.
/// @throws Error(filesystem) naming what could not be removed, after removing all else.
void remove_tree_at(int directory, const std::string& name, const std::filesystem::path& path);

/// Disk space of the file or tree in bytes, links not followed; what cannot be read counts nothing.
[[nodiscard]] std::uint64_t allocated_bytes_at(int directory, const std::string& name);

/// The names in a directory, unsorted, without "." and "..".
[[nodiscard]] std::vector<std::string> directory_names(int directory,
                                                       const std::filesystem::path& path);

/// The same, sorted.
[[nodiscard]] std::vector<std::string> sorted_names(int directory,
                                                    const std::filesystem::path& path);

/// Whether what is open as `fd` is what `path` leads to, a final symbolic link not followed.
[[nodiscard]] bool is_still_at(const std::filesystem::path& path, int fd) noexcept;

/// Whether it is what is called `name` in `directory`: between opening and locking it, another may
/// have been put in its place.
[[nodiscard]] bool is_still_in(int directory, const std::string& name, int fd) noexcept;

/// Whether both stats are of one inode.
[[nodiscard]] bool same_file(const struct stat& a, const struct stat& b) noexcept;

}  // namespace pyro
