// Reads ext4 file systems with libext2fs, which has nothing in common with the writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyro::testing {

struct Ext4File {
  char type = '-';  ///< As `ls -l` shows it.
  std::uint32_t inode = 0;
  std::uint32_t permissions = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t links = 0;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  ///< Of 4 KiB, with those of its own metadata.
  std::int64_t seconds = 0;  ///< Of its last modification.
  std::uint32_t nanoseconds = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::string target = {};   ///< Of a symlink.
  std::string content = {};  ///< Of a file of at most Ext4Image::kMaxContent.
  std::map<std::string, std::string> xattrs = {};
};

struct Ext4Extent {
  std::uint64_t logical = 0;
  std::uint64_t physical = 0;
  std::uint64_t count = 0;

  friend bool operator==(const Ext4Extent&, const Ext4Extent&) = default;
};

/// All functions throw std::runtime_error with the fault.
class Ext4Image {
 public:
  static constexpr std::uint64_t kMaxContent = std::uint64_t{16} << 20;

  explicit Ext4Image(const std::filesystem::path& path);
  ~Ext4Image();
  Ext4Image(const Ext4Image&) = delete;
  Ext4Image& operator=(const Ext4Image&) = delete;

  /// By their paths: "" for the root, "usr/bin/env".
  [[nodiscard]] std::map<std::string, Ext4File> files() const;

  [[nodiscard]] std::vector<Ext4Extent> extents(const Ext4File& file) const;

  /// A piece of a file of any size.
  [[nodiscard]] std::string read(const Ext4File& file, std::uint64_t offset,
                                 std::size_t size) const;

  [[nodiscard]] std::uint64_t blocks() const;
  [[nodiscard]] std::uint64_t free_blocks() const;
  [[nodiscard]] std::uint64_t free_inodes() const;

  /// Compares both bitmaps, the counts and the numbers of links with the files: some of the work of
  /// e2fsck, without another process.
  void check() const;

 private:
  struct State;
  class Check;
  std::unique_ptr<State> state_;
};

}  // namespace pyro::testing
