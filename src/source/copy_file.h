// A file copied as cheaply as the file systems can, with its holes.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "base/files.h"

namespace pyro {

/// Makes `name` in the directory `to` a copy of `from`, durably: in place of its blocks shared ones
/// where the file system has such, else copies, and no blocks for holes. The copy is open for
/// reading and writing. `room` is on the same file system: whether there is enough is told before
/// the first byte is copied.
/// @throws Error(filesystem); (interrupted)
Fd copy_file(const std::filesystem::path& from, int to, const std::string& name,
             const std::filesystem::path& room, const std::stop_token& stop = {});

}  // namespace pyro
