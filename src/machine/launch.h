// From an environment to a machine that takes commands, for runs and preparations.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "machine/guest_session.h"
#include "machine/saved_machine.h"
#include "machine/saved_states.h"
#include "store/installation.h"

namespace pyro {

class StateSave;

/// A machine that takes commands.
struct LiveMachine {
  MachineConfig config;
  std::unique_ptr<GuestConnection> guest;
  std::unique_ptr<GuestSession> control = {};
  MachineStart start = MachineStart::boot;
  bool waits_without_disk = false;  ///< It has booted, and can be saved as a kernel state.
  Fd scratch = {};                  ///< Its scratch disk, if it has one.
  Fd memory = {};                   ///< The file of its memory, if it can be saved.
};

/// What a machine that stays is made of, in place of an install of a store and a new disk. Whatever
/// it starts from, it can be saved.
struct KeptMachine {
  std::string name = {};  ///< Of the host.
  Environment environment = {};
  InstallLease lease = {};
  Fd disk = {};         ///< A scratch disk, of the size that the options say.
  bool is_new = false;  ///< Nothing was written to the disk: it gets the content of a state's disk.
  std::optional<SavedMachine> saved = {};  ///< It is resumed, if possible.
};

class Launcher {
 public:
  /// @throws Error(failed) without a monitor; (not_found) for an unknown environment; (usage) for
  /// options out of range, and a key that is too short
  Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop);
  /// With a monitor other than QEMU.
  Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop,
           std::unique_ptr<MachineMonitor> monitor);
  /// For a machine that stays, whose lease is `kept`'s; both must outlive this.
  Launcher(EnvironmentStore& store, const KeptMachine& kept, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop);
  /// Waits until the states that it made are published.
  ~Launcher();

  [[nodiscard]] const Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] const MachineMonitor& monitor() const noexcept { return *monitor_; }
  [[nodiscard]] const SavedStates& states() const noexcept { return states_; }
  [[nodiscard]] const CacheLayout& layout() const noexcept { return stores_.cache(); }
  [[nodiscard]] ProgressListener& progress() noexcept { return progress_; }

  /// Installs the environment if needed, and the base of a container.
  /// @throws Error(not_found) for a container without a base
  [[nodiscard]] InstallLease acquire_lease();

  /// config_for() its options, with a warning when the host has too few processors.
  [[nodiscard]] MachineConfig config();

  /// Starts a machine for which there is no prepared state: from the state of its kernel. Where
  /// there is none, it boots, and makes one in passing. `memory`: as for boot().
  [[nodiscard]] LiveMachine start(const MachineConfig& asked, const InstallLease& lease,
                                  std::optional<int> memory = std::nullopt);

  /// The same, and leaves a prepared state.
  [[nodiscard]] LiveMachine start_and_prepare(const StateKey& key);

  /// Boots with the first of the candidates for `asked` that works, with a warning for each other,
  /// within the boot timeout. `memory`: the file for the memory of a machine that is to be saved.
  [[nodiscard]] LiveMachine boot(const MachineConfig& asked, const InstallLease& lease,
                                 std::optional<int> memory = std::nullopt);

  /// Resumes from a state that matches, of the kind that `start` says. `memory`: as for boot().
  /// @throws Error when that fails
  [[nodiscard]] LiveMachine resume(const InstallLease& lease, const PreparedState& state,
                                   MachineStart start = MachineStart::prepared_state,
                                   std::optional<int> memory = std::nullopt);

  /// The same; nothing, and a warning, when it fails.
  /// @throws Error(interrupted)
  [[nodiscard]] std::optional<LiveMachine> try_resume(
      const InstallLease& lease, const PreparedState& state,
      MachineStart start = MachineStart::prepared_state, std::optional<int> memory = std::nullopt);

  /// Goes on with the saved machine of one that stays; nothing, and a warning, where that fails.
  /// @throws Error(interrupted)
  [[nodiscard]] std::optional<LiveMachine> try_resume_saved(const MachineConfig& asked);

 private:
  Launcher(EnvironmentStore& store, const Environment& environment, const MachineOptions& options,
           ProgressListener* progress, std::stop_token stop,
           std::unique_ptr<MachineMonitor> monitor, const KeptMachine* kept);
  [[nodiscard]] InstallLease lease_of(const Environment& environment);
  /// Calls `boot_one` with one config after the other, until one comes up.
  using BootOne = std::function<LiveMachine(const MachineConfig& config, Deadline deadline)>;
  [[nodiscard]] LiveMachine try_configs(const MachineConfig& asked, const BootOne& boot_one);
  /// Boots to where the machine waits for its root file system.
  [[nodiscard]] LiveMachine boot_kernel(const MachineConfig& config, const InstallLease& lease,
                                        std::optional<int> memory, Deadline deadline);
  /// As start(), with what is known of the kernel's state.
  [[nodiscard]] LiveMachine start_from(const StateKey& kernel, const StateLookup& lookup,
                                       std::optional<int> memory);
  [[nodiscard]] LiveMachine boot_and_save_kernel(const StateKey& key, StateSave& save);
  void save_kernel(const LiveMachine& live, const StateKey& key, StateSave& save);
  /// Nothing, and a note, where the cache cannot take one.
  [[nodiscard]] StateSave* begin_save(const StateKey& key);
  /// Saves a machine that takes commands, if that is possible.
  void prepare_in_passing(LiveMachine& live, const StateKey& key, StateSave& save);
  [[nodiscard]] LiveMachine resume_saved(const MachineConfig& config);
  /// A file for the memory of a machine that can be saved; empty for another.
  [[nodiscard]] Fd memory_file(std::optional<int> memory) const;
  [[nodiscard]] LiveMachine connect(const MachineConfig& config,
                                    const GuestConnection::StartMachine& start);
  /// Empty for a machine without one. `saved`: of a state, or -1.
  [[nodiscard]] Fd scratch_disk(const MachineConfig& config, int saved) const;
  [[nodiscard]] MachineFiles files_of(const InstallLease& lease, const Fd& scratch,
                                      MachineStart start) const;
  [[nodiscard]] std::string host_name() const;
  /// From the root file system on.
  void enter_root(LiveMachine& live, Deadline deadline) const;
  void begin_session(LiveMachine& live, Deadline deadline) const;
  /// Adds hints to the error of the last machine that was tried.
  void explain(MachineLost& lost, const MachineConfig& config) const;

  ProgressListener silence_;
  EnvironmentStore& store_;
  const Environment environment_;
  const Stores stores_;
  const MachineOptions& options_;
  const SavedStates states_;
  ProgressListener& progress_;
  const std::stop_token stop_;
  const std::unique_ptr<MachineMonitor> monitor_;
  const KeptMachine* const kept_;                  ///< Of a machine that stays, or null.
  std::vector<std::unique_ptr<StateSave>> saves_;  ///< That are being published.
};

/// The config that is asked of a monitor.
/// @throws Error(failed) where KVM is required and does not work
[[nodiscard]] MachineConfig config_for(const MachineOptions& options, EnvironmentKind kind,
                                       const MachineMonitor& monitor, const CacheLayout& layout);

}  // namespace pyro
