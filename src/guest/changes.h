// What was changed in a workspace since it was made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "guest/session.h"

namespace pyro::guest {

/// Sends the files and links below kWorkspace that differ from those of the seed, as they were or
/// as they are: each with its directories, without .git. `wanted`: only these paths below
/// kWorkspace, and what is in them; empty for all.
///
/// The changes are walked, not the tree: a directory of which nothing was changed costs nothing.
[[nodiscard]] std::unique_ptr<Task> start_changes(Channel& channel, std::uint16_t session,
                                                  const ChangesPayload& changes,
                                                  std::vector<std::string> wanted);

}  // namespace pyro::guest
