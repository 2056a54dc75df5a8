// A workspace in use: its machine, the commands in it, and its states. A supervisor has one.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "machine/held_machine.h"
#include "pyro/environment_store.h"
#include "pyro/machine.h"
#include "pyro/workspace.h"
#include "workspace/directory.h"
#include "workspace/process.h"

namespace pyro {

/// What becomes of a workspace.
enum class WorkspaceRole {
  existing,
  beginning,  ///< It is not to stay if it cannot be made.
  temporary,  ///< It ends with its first request.
};

/// How a workspace is used.
struct WorkspaceSettings {
  std::filesystem::path directory = {};  ///< Of all workspaces.
  std::string name = {};                 ///< Of this one, also while it is being made.
  WorkspaceRole role = WorkspaceRole::existing;
  std::filesystem::path cache_dir = {};
  MachineOptions machine = {};
};

/// Thread-safe. Changes of its states, and starts of its machine, wait for each other.
class LiveWorkspace {
 public:
  LiveWorkspace(WorkspaceSettings settings, WorkspaceDirectory workspace);
  ~LiveWorkspace();
  LiveWorkspace(const LiveWorkspace&) = delete;
  LiveWorkspace& operator=(const LiveWorkspace&) = delete;

  [[nodiscard]] const WorkspaceDirectory& directory() const noexcept { return workspace_; }
  /// Of it what stays as it was made.
  [[nodiscard]] WorkspaceManifest beginning() const;

  /// Makes what is new a workspace of its name, with a baseline. False when there is one.
  bool create(const std::string& from, bool all_files, CreatedWorkspace& created,
              ProgressListener& progress, const std::stop_token& stop);

  /// Its machine, which is resumed or started if needed.
  std::shared_ptr<HeldMachine> machine(ProgressListener& progress, const std::stop_token& stop);
  [[nodiscard]] bool has_machine() const;

  /// Before and after all that may change files.
  void note_change();
  /// Calls `work`, which copies all changes out. They count as exported unless there may be new
  /// ones meanwhile.
  void export_changes(const std::function<void()>& work);
  /// As Workspaces::copy_out().
  CopiedOut copy_out(HeldMachine& machine, const CopyOut& copy, const CopyOptions& options);

  /// @throws Error(busy) after end_commands()
  std::shared_ptr<WorkspaceCommand> start_command(std::shared_ptr<HeldMachine> machine,
                                                  CommandOptions command, ClientStreams streams,
                                                  ProcessInput input);
  /// @throws Error(not_found) for one that has ended
  [[nodiscard]] std::shared_ptr<WorkspaceCommand> require_running(unsigned process) const;
  /// Of a command that has ended: nothing.
  void signal(unsigned process, int number) const;
  [[nodiscard]] bool is_running_a_command() const;

  /// @throws Error(usage) for a name that is taken
  TakenSnapshot take_snapshot(std::string name);
  void remove_snapshots(const std::vector<std::string>& names);
  /// Puts a snapshot in the place of what is there, which becomes the snapshot before-reset.
  void reset(const std::string& snapshot);
  /// Fills the directory of a new workspace: with a snapshot, or with what is there now.
  void fork_to(const WorkspaceDirectory& child, const std::string& snapshot);

  /// Saves the machine, with what runs in it, and ends it. Without room it goes on.
  void suspend();
  /// Ends all commands, and the machine. The next one starts from the disk.
  void stop();

 private:
  [[nodiscard]] std::shared_ptr<HeldMachine> running_machine() const;
  [[nodiscard]] WorkspaceState current_state() const;
  void start_machine(ProgressListener& progress, const std::stop_token& stop);
  void follow_saved(const std::shared_ptr<HeldMachine>& machine,
                    const std::vector<SavedProcess>& saved);
  CreatedWorkspace seed(const std::string& from, bool all_files, ProgressListener& progress,
                        const std::stop_token& stop);
  /// `is_durable`: as for WorkspaceState::write_machine().
  SaveReport copy_current_to(const WorkspaceState& state, bool is_durable);
  /// @return what makes the saved machine durable, so that it counts
  [[nodiscard]] std::function<void()> save_and_end(const char* why, bool commands_go_on);
  void finish_saving();
  [[nodiscard]] std::vector<std::shared_ptr<WorkspaceCommand>> running_commands() const;
  void drop_machine();
  void commit(WorkspaceManifest manifest);
  [[nodiscard]] std::string next_snapshot_name() const;

  const WorkspaceSettings settings_;
  const WorkspaceDirectory workspace_;
  const WorkspacesDirectory workspaces_;
  EnvironmentStore store_;

  std::mutex states_mutex_;  ///< Held while states change, and while the machine starts.
  WorkspaceManifest manifest_;
  bool is_new_;
  std::thread saving_;  ///< Makes what was there before a reset durable.

  std::mutex host_files_mutex_;  ///< For one copy out at a time.

  mutable std::mutex mutex_;  ///< Of all below.
  WorkspaceManifest beginning_;
  std::shared_ptr<HeldMachine> machine_;
  std::map<unsigned, std::shared_ptr<WorkspaceCommand>> commands_;
  bool is_stopping_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace pyro
