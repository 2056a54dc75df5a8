// Directories: made, opened, listed, walked, removed and measured.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"

namespace pyro {

/// The directory at `path`, through symbolic links.
/// @throws Error(filesystem)
[[nodiscard]] Fd open_directory(const std::filesystem::path& path);

/// The directory `name` in `directory`, links not followed; empty with errno set on failure.
[[nodiscard]] Fd try_open_directory(int directory, const std::string& name) noexcept;

/// Makes `path` and its missing parents with `mode` less the umask, durably.
/// @throws Error(filesystem)
void make_directories(const std::filesystem::path& path, mode_t mode = 0755);

/// make_directories() and open_directory().
[[nodiscard]] Fd make_and_open_directory(const std::filesystem::path& path);

/// The names in a directory, unsorted, without "." and ".."; none when it was removed meanwhile.
/// @throws Error(filesystem)
[[nodiscard]] std::vector<std::string> directory_names(int directory,
                                                       const std::filesystem::path& path);

/// The same, sorted.
[[nodiscard]] std::vector<std::string> sorted_names(int directory,
                                                    const std::filesystem::path& path);

// --- trees ---

/// `name` in the open directory `directory`.
struct TreePlace {
  int directory;
  const std::string& name;
  const std::function<std::filesystem::path()>& path;  ///< For errors: its cost grows with depth.
};

/// The callbacks of walk_tree().
struct TreeSteps {
  /// Before the content of a directory. Whether to descend into it.
  std::function<bool(const TreePlace& place)> visit;
  /// After the content of a directory.
  std::function<void(const TreePlace& place)> leave = {};
  /// For a directory that cannot be read, which is skipped. One that another process has removed is
  /// skipped without a call.
  std::function<void(Error error)> failed = {};
};

/// Walks through `name` in `directory` and everything below it in the order of names, never through
/// a symbolic link and never out of it. Neither the stack nor the number of open descriptors grows
/// with the depth. Errors name it `path`.
/// @throws Error(filesystem) for a directory that was moved during the walk, which is noticed only
/// in deep trees; and exceptions of the steps.
void walk_tree(int directory, const std::string& name, const std::filesystem::path& path,
               const TreeSteps& steps);

/// Removes `name` in `directory` and everything below it; never follows a symbolic link. A missing
/// one counts as removed.
/// @throws Error(filesystem) naming the entries that could not be removed, after removing all
/// others.
void remove_tree_at(int directory, const std::string& name, const std::filesystem::path& path);

// --- space ---

/// Disk space of the file or tree in bytes, links not followed; unreadable parts count nothing.
[[nodiscard]] std::uint64_t allocated_bytes_at(int directory, const std::string& name);

/// The free space of the file system of `directory` for this process, in bytes; nothing if it is
/// unknown.
[[nodiscard]] std::optional<std::uint64_t> free_space(const std::filesystem::path& directory);

/// @throws Error(filesystem) "need at least 6.0 MiB, 2.5 MiB free on /cache: 3.5 MiB missing"
void require_free_space(const std::filesystem::path& directory, std::uint64_t needed);

/// Whether a full disk is the innermost cause of `error`.
[[nodiscard]] bool is_out_of_space(const Error& error);

/// The hint for an error of writing to the cache: on a full or a read-only disk. Empty for others.
[[nodiscard]] std::string cache_hint(const Error& error);

/// The message for a write to `directory` that ran out of space: `written` bytes are there, and at
/// least `outstanding` are to come. Empty unless bytes or files were lacking.
[[nodiscard]] std::string disk_full_details(const std::filesystem::path& directory,
                                            std::uint64_t written, std::uint64_t outstanding);

}  // namespace pyro
