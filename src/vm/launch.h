// What runs and preparations have in common: from an environment to a machine that takes commands.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "store/held_installation.h"
#include "vm/guest_link.h"
#include "vm/prepared_state.h"
#include "vm/qemu.h"

namespace pyro {

/// A machine that takes commands.
struct LiveMachine {
  MachineShape shape;
  std::unique_ptr<Machine> machine;
  std::unique_ptr<GuestLink> link;
};

class Launcher {
 public:
  /// @throws Error(failed) where there is no monitor; (not_found) for an unknown environment
  Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop);

  [[nodiscard]] const Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] const CacheLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] ProgressListener& progress() noexcept { return progress_; }

  /// Installs it if it is not.
  [[nodiscard]] HeldInstallation hold();

  /// The fastest machine that works here.
  [[nodiscard]] MachineShape shape() const;

  /// With a `memory` file, for a machine that is to be saved. A guest that gives no sign in time is
  /// tried once more on a machine that boots wherever anything does, with a warning.
  [[nodiscard]] LiveMachine boot(const MachineShape& shape, const HeldInstallation& held,
                                 std::optional<int> memory = std::nullopt);

  /// Goes on from a state that matches.
  /// @throws MachineLost when it does not come up
  [[nodiscard]] LiveMachine resume(const MachineShape& shape, const HeldInstallation& held,
                                   const PreparedState& state);

 private:
  [[nodiscard]] LiveMachine boot_once(const MachineShape& shape, const HeldInstallation& held,
                                      std::optional<int> memory);
  [[nodiscard]] LiveMachine greet(const MachineShape& shape, std::unique_ptr<Machine> machine,
                                  std::chrono::milliseconds patience);

  ProgressListener silence_;
  EnvironmentStore& store_;
  const Environment environment_;
  const CacheLayout layout_;
  const MachineOptions& options_;
  ProgressListener& progress_;
  const std::stop_token stop_;
  Qemu monitor_;
};

/// The fastest machine that works here.
[[nodiscard]] MachineShape shape_for(const MachineOptions& options, const CacheLayout& layout);

}  // namespace pyro
