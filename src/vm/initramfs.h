// The initramfs of a machine: the initrd of the environment, and over it the guest program as init.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"

namespace pyro {

/// The initramfs as a file in memory, at its start. `initrd` is open, or -1 where there is none.
/// @throws Error(filesystem)
[[nodiscard]] Fd make_initramfs(int initrd);

/// SHA-256 of the guest program (src/guest/), in lower-case digits.
[[nodiscard]] std::string_view guest_program_digest() noexcept;

/// An archive that the kernel unpacks into its first root file system ("newc" in
/// Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
class CpioArchive {
 public:
  /// `mode` includes the file type: 0100755, 040755.
  void add(std::string_view name, std::uint32_t mode, std::string_view content = {});

  /// Ends the archive.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string bytes_;
  std::uint32_t inode_ = 0;
};

}  // namespace pyro
