// What runs and preparations have in common: which machine an environment gets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "store/held_installation.h"
#include "vm/guest_link.h"
#include "vm/monitor.h"
#include "vm/prepared_state.h"

namespace pyro {

/// The fastest that works here.
[[nodiscard]] MachineShape shape_for(const MachineOptions& options,
                                     const std::filesystem::path& cache_dir);

/// What boots wherever anything does.
[[nodiscard]] MachineShape safe_shape(MachineShape shape);

/// @throws Error(failed) where there is none
void require_monitor(const MachineOptions& options);

/// "debian-12": letters, digits and hyphens.
[[nodiscard]] std::string host_name_for(std::string_view environment);

/// A machine that takes commands.
struct LiveMachine {
  MachineShape shape;
  std::unique_ptr<Machine> machine;
  std::unique_ptr<GuestLink> link;
};

/// Boots; a guest that gives no sign in time is tried once more on the safe machine, with a word to
/// `warn`.
/// @throws Error(failed), (interrupted)
[[nodiscard]] LiveMachine boot_machine(
    MachineMonitor& monitor, const MachineShape& shape, const HeldInstallation& held,
    std::optional<int> memory, std::chrono::milliseconds patience, const std::stop_token& stop,
    const std::function<void(std::string_view)>& warn);

/// Goes on from a state that matches.
/// @throws MachineLost when it does not come up; Error(interrupted)
[[nodiscard]] LiveMachine resume_machine(MachineMonitor& monitor, const MachineShape& shape,
                                         const HeldInstallation& held, const PreparedState& state,
                                         std::chrono::milliseconds patience,
                                         const std::stop_token& stop);

}  // namespace pyro
