// An archive that a kernel unpacks into its first root file system.
//
// Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux ("newc").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pyro {

class CpioArchive {
 public:
  /// `mode` with the file type: 0100755, 040755.
  void add(std::string_view name, std::uint32_t mode, std::string_view content = {});

  /// Ends the archive.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string bytes_;
  std::uint32_t inode_ = 0;
};

}  // namespace pyro
