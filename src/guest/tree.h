// Files and trees, copied into the guest and out of it.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "guest/channel.h"

namespace pyro::guest {

/// The bits of a mode that are copied.
constexpr mode_t kPermissions = 07777;

/// Receives the tree that follows, and reports the first failure at once. `payload` is the
/// destination, NUL, and the name of the copy if that is a directory, as with cp(1).
void put_tree(Channel& channel, std::string_view payload);

/// Sends the file or tree at `path`, without devices, pipes and sockets.
void get_tree(Channel& channel, std::string_view path);

}  // namespace pyro::guest
