// Where a user wants something to be written.
#pragma once

#include <filesystem>

#include "base/files.h"

namespace pyro {

/// What a path means that a user names as the file to write, as with cp(1).
struct Destination {
  /// Where the file is to be made or replaced: what the symbolic links in its last part lead to.
  std::filesystem::path path;
  /// Open where there is nothing to be made or replaced but something to be written into: a device,
  /// a pipe, a descriptor of this process (/dev/stdout, /dev/fd/N).
  Fd stream = {};
};

/// @throws Error(filesystem) for what cannot be written into: a socket, a pipe without a reader
[[nodiscard]] Destination open_destination(std::filesystem::path path);

/// What the symbolic links in the last part of `path` lead to, whether it is there or not: a
/// user's link to a file stays a link.
/// @throws Error(filesystem) when they lead around in a circle
[[nodiscard]] std::filesystem::path follow_links(std::filesystem::path path);

/// A copy of the descriptor of this process that `path` leads to ("/dev/stdin" to 0); empty where
/// it leads elsewhere.
[[nodiscard]] Fd duplicate_own_descriptor(std::filesystem::path path);

}  // namespace pyro
