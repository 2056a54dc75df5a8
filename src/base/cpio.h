// Archives that the kernel unpacks into its first root file system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pyro {

/// The format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst of Linux). All
/// files are root's and of 1970, so that the same content gives the same bytes.
class CpioArchive {
 public:
  /// `mode` includes the file type: 0100755, 040755. A directory comes before its files.
  void add(std::string_view name, std::uint32_t mode, std::string_view content = {});

  /// Ends the archive.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string bytes_;
  std::uint32_t inode_ = 0;
};

}  // namespace pyro
