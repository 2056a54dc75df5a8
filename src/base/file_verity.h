// The fs-verity digest of a file that is there.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "pyro/digest.h"

namespace pyro {

/// Of the first `size` bytes of `fd`, reading only where the file system says there is data;
/// `subject` is what errors call it.
/// @throws Error(filesystem) when it cannot be read, or is shorter; (interrupted)
[[nodiscard]] Digest file_verity(int fd, std::uint64_t size, const std::string& subject,
                                 const std::stop_token& stop);

}  // namespace pyro
