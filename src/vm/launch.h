// What runs and preparations have in common: from an environment to a machine that takes commands.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "store/held_installation.h"
#include "store/stores.h"
#include "vm/guest_link.h"
#include "vm/prepared_state.h"

namespace pyro {

/// A machine that takes commands.
struct LiveMachine {
  MachineShape shape;
  std::unique_ptr<Machine> machine;
  std::unique_ptr<GuestLink> link;
};

class Launcher {
 public:
  /// @throws Error(failed) where there is no monitor; (not_found) for an unknown environment;
  ///         (usage) for a machine that there cannot be
  Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop);
  /// With another monitor than QEMU.
  Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop,
           std::unique_ptr<MachineMonitor> monitor);

  [[nodiscard]] const Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] const CacheLayout& layout() const noexcept { return stores_.cache(); }
  [[nodiscard]] ProgressListener& progress() noexcept { return progress_; }

  /// Installs it if it is not.
  [[nodiscard]] HeldInstallation hold();

  /// What shape_for() says of its options, with a warning where the host has too few processors.
  [[nodiscard]] MachineShape shape();

  /// The first machine of ladder_from(`asked`) that comes up, with a warning for each that did not,
  /// within the time that booting may take.
  /// With a `memory` file, which is emptied first, for a machine that is to be saved.
  [[nodiscard]] LiveMachine boot(const MachineShape& asked, const HeldInstallation& held,
                                 std::optional<int> memory = std::nullopt);

  /// Goes on from a state that matches.
  /// @throws Error when it does not come up
  [[nodiscard]] LiveMachine resume(const HeldInstallation& held, const PreparedState& state);

  /// The same; nothing, and a warning, when it does not come up for whatever reason.
  /// @throws Error(interrupted)
  [[nodiscard]] std::optional<LiveMachine> try_resume(const HeldInstallation& held,
                                                      const PreparedState& state);

 private:
  [[nodiscard]] LiveMachine boot_once(const MachineShape& shape, const HeldInstallation& held,
                                      std::optional<int> memory, Deadline deadline);
  [[nodiscard]] LiveMachine greet(const MachineShape& shape, std::unique_ptr<Machine> machine,
                                  Deadline deadline);
  /// Adds to the loss of the last machine that was tried what can be done about it.
  void explain(MachineLost& lost, const MachineShape& shape) const;

  ProgressListener silence_;
  EnvironmentStore& store_;
  const Environment environment_;
  const Stores stores_;
  const MachineOptions& options_;
  ProgressListener& progress_;
  const std::stop_token stop_;
  const std::unique_ptr<MachineMonitor> monitor_;
};

/// The fastest machine that works here.
/// @throws Error(failed) where KVM is required and does not work
[[nodiscard]] MachineShape shape_for(const MachineOptions& options, const CacheLayout& layout);

}  // namespace pyro
