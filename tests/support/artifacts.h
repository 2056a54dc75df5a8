// Artifacts of any content that are what their names say: a pull looks at their first bytes.
#pragma once

#include <string>
#include <string_view>

namespace pyro::testing {

/// A kernel as far as its first bytes go: `content` behind ELF's magic.
std::string kernel_with(std::string_view content);

/// A bzImage as far as boot protocol 2.08 goes, of a kernel that was compressed to `payload`.
std::string bz_image(std::string_view payload);

/// An ext4 file system as far as its magic goes, which is put over two bytes of `content`. At least
/// 1082 bytes long.
std::string file_system_with(std::string content);

}  // namespace pyro::testing
