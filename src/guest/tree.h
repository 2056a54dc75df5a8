// Files and trees, copied into the guest and out of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/session.h"

namespace pyro::guest {

/// The bits of a mode that are copied.
constexpr mode_t kPermissions = 07777;

/// Receives the tree that follows, and reports the first failure at once. `payload` is the
/// destination, NUL, and the name of the copy if that is a directory, as with cp(1).
[[nodiscard]] std::unique_ptr<Task> start_put(Channel& channel, std::uint16_t session,
                                              std::string_view payload);

/// Receives the tree of a new workspace, and mounts it.
[[nodiscard]] std::unique_ptr<Task> start_seed(Channel& channel, std::uint16_t session);

/// Sends the file or tree at `path`, without devices, pipes and sockets.
[[nodiscard]] std::unique_ptr<Task> start_get(Channel& channel, std::uint16_t session,
                                              std::string_view path);

/// Sends the directory `root` with these entries below it, and with the directories that they are
/// in.
[[nodiscard]] std::unique_ptr<Task> start_get_of(Channel& channel, std::uint16_t session,
                                                 std::string root, std::vector<std::string> paths);

/// Sends the files and links below kWorkspace that differ from those of the seed, as they were or
/// as they are: each with its directories, without .git. `wanted`: only these paths below
/// kWorkspace, and what is in them; empty for all.
///
/// The changes are walked, not the tree: a directory of which nothing was changed costs nothing.
[[nodiscard]] std::unique_ptr<Task> start_changes(Channel& channel, std::uint16_t session,
                                                  const ChangesPayload& changes,
                                                  std::vector<std::string> wanted);

}  // namespace pyro::guest
