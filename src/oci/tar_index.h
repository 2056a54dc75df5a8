// Where the files of an image layout lie in a tar.
//
// Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar's manual,
// "Basic Tar Format", for sizes in base 256 and for long names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace pyro {

/// The names of a tar that is not compressed, each with where its content is: for reading here and
/// there in it, which no tar reader does that is made for streams.
///
/// An image layout has a handful of plain files with short names, and that is all this knows. It
/// looks at headers and padding only. Nothing in it ever becomes a path.
class TarIndex {
 public:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool regular = true;    ///< False: a link, a device, a sparse file.
    std::string link = {};  ///< What a link leads to, by its name in here; empty if to elsewhere.
  };

  static constexpr std::size_t kMostMembers = 10'000;
  /// A layout's longest name is "blobs/sha256/" and 64 digits; nothing asks for a longer one.
  static constexpr std::size_t kLongestName = 512;
  /// Of all names together.
  static constexpr std::size_t kMostText = std::size_t{2} << 20;

  /// Reads the headers of `file`, which stays the caller's; `path` is what errors call it.
  /// @throws Error(integrity) unless it is a tar, complete, with names that stay within it, none
  /// twice. Members with names longer than kLongestName are passed over.
  TarIndex(int file, const std::filesystem::path& path);

  /// Null when there is no such member. Names are as "blobs/sha256/...": without "./".
  [[nodiscard]] const Entry* find(const std::string& name) const;

  [[nodiscard]] const std::map<std::string, Entry>& entries() const noexcept { return entries_; }

 private:
  std::map<std::string, Entry> entries_;
};

}  // namespace pyro
