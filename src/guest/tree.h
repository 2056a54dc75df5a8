// Files and trees, copied into the guest and out of it.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "guest/channel.h"

namespace pyro::guest {

/// The bits of a mode that are copied.
constexpr mode_t kPermissions = 07777;

/// Takes the tree that follows, and says at once when something of it cannot be made. `payload` is
/// where to, NUL, and the name that it gets when that is a directory, as with cp(1).
void put_tree(Channel& channel, std::string_view payload);

/// Sends the file or tree at `path`. What no tree can have (devices, pipes, sockets) is left out.
void get_tree(Channel& channel, std::string_view path);

}  // namespace pyro::guest
