// Whether an artifact is what its name says.
#pragma once

#include <cstddef>

namespace pyro {

/// Looks at the first bytes of artifact `kind`, which `file` is open on for reading: vmlinux must
/// be an ELF file or a bzImage, rootfs.ext4 a file system of any type, and none may be empty.
/// @throws Error(integrity) that says what it is instead; (filesystem)
void require_artifact_content(int file, std::size_t kind);

}  // namespace pyro
