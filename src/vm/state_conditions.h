// What a machine's saved state depends on, as JSON that is compared and told.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "store/held_installation.h"
#include "vm/monitor.h"

namespace pyro {

/// What a state is made for and looked up by.
struct StateOwner {
  const HeldInstallation& held;
  /// That shape_for() chose. The state may be of another machine of its ladder: the one that the
  /// environment came up on, as it would again.
  MachineShape asked;
  std::filesystem::path monitor;
};

/// Everything that has to be the same for a machine of that shape to go on from a state: one key
/// for each thing, so that what differs can be named. Files are told by device, inode, size and
/// time; none is read.
[[nodiscard]] nlohmann::json state_conditions(const StateOwner& owner, const MachineShape& shape);

/// One line for each, for people.
[[nodiscard]] std::vector<std::string> differences_between(const nlohmann::json& before,
                                                           const nlohmann::json& now);

/// The identity of an open file.
[[nodiscard]] nlohmann::json file_identity(int fd);

/// Of the machines of one ladder, which.
[[nodiscard]] nlohmann::json kind_of(const MachineShape& shape);

/// "none", "user".
[[nodiscard]] std::string_view name_of(GuestNetwork network) noexcept;

}  // namespace pyro
