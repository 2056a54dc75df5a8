// A machine that a program holds: commands, copies and ports in it, each by a session of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/guest_requests.h"
#include "machine/launch.h"
#include "machine/published_port.h"
#include "pyro/machine.h"

namespace pyro {

/// What came of saving a machine.
struct SaveReport {
  std::uint64_t memory_checksum = 0;
  std::chrono::microseconds paused{};  ///< How long the machine stood still, if it goes on.
};

/// What Machine (pyro/machine.h) offers, and what only workspaces need.
///
/// Thread-safe, but for the constructor and the destructor.
class HeldMachine {
 public:
  /// As Machine's.
  HeldMachine(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
              const StartOptions& start);
  /// A machine that stays. One with a disk that is not new starts from the state of its kernel.
  HeldMachine(EnvironmentStore& store, KeptMachine kept, const MachineOptions& options,
              const StartOptions& start);

  [[nodiscard]] const MachineInfo& info() const noexcept { return info_; }

  CommandReport run(const CommandOptions& asked);
  /// The same in a session of its own, whose number is known before.
  [[nodiscard]] std::unique_ptr<GuestSession> open_session(const std::stop_token& stop);
  CommandReport run(GuestSession& session, const CommandOptions& asked);
  /// That of a command which ran in the machine when it was saved.
  [[nodiscard]] std::unique_ptr<GuestSession> open_session(std::uint16_t saved,
                                                           const std::stop_token& stop);
  /// Follows such a command to its end. Without an input, that ends.
  static CommandReport follow(GuestSession& session, const CommandOptions& options);
  std::size_t copy_in(const Copy& copy, const CopyOptions& options);
  /// `rules` may be null.
  void copy_out(const Copy& copy, const CopyOptions& options, TreeRules* rules = nullptr);
  std::uint16_t publish(const PortOptions& options);
  /// Requests that are being served fail with `why`.
  void stop(const char* why = "the machine was stopped") noexcept;
  /// Whether it was stopped, or has ended by itself.
  [[nodiscard]] bool has_ended() const { return live_.guest->has_ended(); }

  /// Makes the directory of a workspace's files (guest/protocol.h).
  /// @return the number of files that could not be read and were left out
  std::size_t seed(const SeedOptions& seed, const CopyOptions& options);
  /// Copies the files of a workspace that were changed since it was made, as they were to
  /// `directory`/a, and as they are to `directory`/b. `paths`: these alone, and what is in them;
  /// empty for all. `whole_system`: not only kWorkspace; then paths are below /.
  void copy_changes(const std::string& directory, const std::vector<std::string>& paths,
                    bool whole_system, const CopyOptions& options);
  /// As in guest_requests.h.
  void copy_files(const std::vector<std::string>& paths, const std::string& to,
                  const CopyOptions& options);
  void archive_system(int to, const CopyOptions& options);
  void replace_files(const std::string& from, const std::vector<std::string>& removed,
                     const CopyOptions& options);
  /// Waits until all that was written is on the disk.
  /// @throws Error(failed) when the guest does not answer in a minute
  void sync();

  /// What becomes of a machine that is saved.
  enum class AfterSave {
    goes_on,
    ends,  ///< With `why` of stop().
  };
  /// Saves a machine that stays, with what runs in it, at one instant. `while_held` is called
  /// then. If it cannot be saved, it goes on.
  /// @throws Error(filesystem) without room, and as sync()
  SaveReport save(const SaveTarget& to, AfterSave after, const std::function<void()>& while_held,
                  const char* why = "");
  /// The manifest for SavedMachine, of what was saved to these devices. Reads the monitor and the
  /// kernel.
  /// @throws Error(filesystem)
  [[nodiscard]] nlohmann::json describe(const SaveReport& saved, int devices);

 private:
  /// From then on nothing goes over the port, until proceed().
  void hold(const ControlTimeout& timeout);
  void proceed();
  /// Before anything that takes time.
  void take_ports(const StartOptions& start);
  void start_live(const StartOptions& start, Clock::time_point begin);
  [[nodiscard]] LiveMachine start_machine(const StartOptions& start);
  [[nodiscard]] std::optional<LiveMachine> try_resume(const StateKey& key,
                                                      const StartOptions& start, bool& had_state);
  void report_cold_start(const StateLookup& lookup);
  /// `options` with what the config of a container image says, unless they say it themselves.
  /// @throws Error(usage) without a command
  [[nodiscard]] CommandOptions with_config(CommandOptions options) const;
  [[nodiscard]] const InstallLease& lease() const noexcept;

  const MachineOptions options_;
  const std::optional<KeptMachine> kept_;
  Launcher launcher_;
  InstallLease lease_;  ///< Of a machine that does not stay.
  LiveMachine live_;
  MachineInfo info_;
  std::mutex save_mutex_;  ///< For the control session, too.
  std::uint32_t holds_ = 0;
  std::mutex ports_mutex_;
  std::vector<std::unique_ptr<PublishedPort>> ports_;  ///< They use the machine.
};

}  // namespace pyro
