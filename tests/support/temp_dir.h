// Temporary directories and small file helpers for tests.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pyro::testing {

/// A fresh directory that is removed, with all it holds, when this object goes.
class TempDir {
 public:
  TempDir() : TempDir(std::filesystem::temp_directory_path()) {}
  /// Makes it inside `parent`: for tests that need another file system.
  explicit TempDir(const std::filesystem::path& parent);
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The whole file. Throws std::system_error when it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Writes the whole file, making its parent directories.
void write_file(const std::filesystem::path& file, std::string_view bytes);

/// One sorted line for every path below `dir`: its type, mode, size (regular files) or target
/// (symlinks), and name relative to `dir`. Symlinks are not followed. Empty when `dir` is missing.
std::vector<std::string> tree(const std::filesystem::path& dir);

/// As tree(), with each regular file's SHA-256, modification time and inode: equal before and after
/// means that nothing was changed.
std::vector<std::string> snapshot(const std::filesystem::path& dir);

}  // namespace pyro::testing
