// Workspaces: machines with a name and a disk that stay until they are deleted.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"
#include "pyro/machine.h"
#include "pyro/user_catalog.h"

namespace pyro {

/// The directory of a workspace's files, and the working directory of its commands.
inline constexpr const char* kWorkspaceDirectory = "/workspace";

/// $XDG_STATE_HOME/pyro/workspaces, else ~/.local/state/pyro/workspaces; empty without both
/// variables. Not safe while another thread sets variables.
[[nodiscard]] std::filesystem::path find_workspaces_directory();
/// The same with the values that `variables` returns.
[[nodiscard]] std::filesystem::path find_workspaces_directory(
    const std::function<std::optional<std::string>(const char* name)>& variables);

/// What a new workspace is made of.
struct NewWorkspace {
  std::string environment = "debian:12";
  /// A directory of the host whose content the workspace begins with; empty for none. Of a Git
  /// checkout that is what Git tracks, what it does not ignore, and .git without credentials. Files
  /// that are a secret by their name (.env*, *.pem, id_*), and those that cannot be read, are left
  /// out. Symbolic links are kept. Neither / nor the home directory or one above it.
  std::string from = {};
  bool all_files = false;  ///< Everything in `from` that can be read.
  unsigned cpus = 1;
  unsigned memory_mib = 2048;
  unsigned disk_mib = 8192;  ///< Of its disk, a sparse file.
  GuestNetwork network = GuestNetwork::none;
  /// It is suspended after so long without a process and a request. 0: never.
  std::chrono::seconds idle{600};
  bool idle_with_processes = false;  ///< Processes do not keep it awake. They go on when it does.
  /// How long it lives: then it is suspended, and deleted by remove_expired(). 0: for ever.
  std::chrono::seconds ttl{0};
  bool discard = false;  ///< Also with changes that were not exported.
};

/// The result of Workspaces::create().
struct CreatedWorkspace {
  bool is_new = false;  ///< Otherwise there was one of that name, which is left as it is.
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  /// Files that were left out for their names, as paths below the directory.
  std::vector<std::string> secrets = {};
  std::size_t unreadable = 0;  ///< Files that could not be read, each with a warning.
};

enum class WorkspaceActivity {
  stopped,    ///< The next command starts its machine from its disk.
  suspended,  ///< The next one goes on where the machine was, with its processes.
  running,
};

/// "stopped", "suspended", "running".
[[nodiscard]] std::string_view to_string(WorkspaceActivity activity) noexcept;

/// The result of Workspaces::snapshot().
struct TakenSnapshot {
  std::string name = {};
  std::chrono::microseconds paused{};  ///< How long the machine stood still for it.
};

/// What a workspace was at one instant.
struct WorkspaceSnapshot {
  std::string name;
  std::chrono::system_clock::time_point made = {};
  bool has_memory = false;       ///< Processes ran in it, which go on from there.
  std::uint64_t disk_bytes = 0;  ///< Disk space; what it shares with others counts for each.
};

struct WorkspaceStatus {
  std::string name;
  std::string environment;
  std::string version;
  WorkspaceActivity activity = WorkspaceActivity::stopped;
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  unsigned disk_mib = 0;
  GuestNetwork network = GuestNetwork::none;
  std::chrono::seconds idle{};
  bool idle_with_processes = false;
  std::chrono::system_clock::time_point created = {};
  std::chrono::system_clock::time_point last_used = {};
  std::optional<std::chrono::system_clock::time_point> expires = {};
  /// Commands or copies may have changed files of kWorkspaceDirectory since it was made, or since
  /// a difference or a copy out covered all of them.
  bool has_changes = false;
  std::uint64_t disk_bytes = 0;       ///< Disk space; the environment's files do not count.
  std::size_t running_processes = 0;  ///< Of a suspended one: that go on with it.
  std::size_t snapshots = 0;
};

/// A command of a workspace, running or ended.
struct WorkspaceProcess {
  unsigned number = 0;
  std::vector<std::string> command;
  std::chrono::system_clock::time_point started = {};
  /// How it ended; nothing while it runs. 255 if its machine ended before it.
  std::optional<CommandReport> end = {};
};

/// How a request to a workspace is made.
struct WorkspaceCall {
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the request with Error(interrupted).
  std::stop_token stop = {};
};

/// The output of a process, as far as it is kept: of much output the beginning and the end.
struct ProcessOutput {
  std::string text = {};
  std::uint64_t skipped = 0;  ///< Bytes between what was asked for and `text` that are not kept.
  std::uint64_t next = 0;     ///< The offset behind `text`.
  bool has_ended = false;     ///< There will be no more.
};

/// A copy out of a workspace.
struct CopyOut : Copy {
  /// Write .git and what is in it, also into a Git checkout.
  bool includes_git = false;
  /// Replace files of the host that were changed there since the workspace took them over.
  bool replaces_changed = false;
};

/// What a copy out of a workspace did not do, and what to look at.
struct CopiedOut {
  /// Files that were changed on the host since the workspace took them over, or appeared there.
  std::vector<std::string> left_alone = {};
  /// Entries called .git, as paths in the checkout.
  std::vector<std::string> left_out = {};
  /// Files in a checkout that programs may run without being told (.envrc, .vscode, CI), and whose
  /// content is new; as paths in the checkout.
  std::vector<std::string> may_run = {};
};

/// What a difference of a workspace tells, and of what.
struct DiffOptions {
  /// These files alone, and what is in these directories; relative to kWorkspaceDirectory. Empty
  /// for all.
  std::vector<std::string> paths = {};
  /// The snapshot that the workspace is compared with.
  std::string against = "baseline";
  /// Compare the whole system, and not only kWorkspaceDirectory.
  bool whole_system = false;
  bool only_counts = false;  ///< The result has no patch, and exports nothing.
};

/// A file that differs.
struct FileChange {
  std::string path = {};  ///< Below kWorkspaceDirectory; of the whole system, below /.
  bool is_binary = false;
  std::uint64_t added = 0;  ///< Lines; of a binary file none.
  std::uint64_t removed = 0;
};

struct WorkspaceDiff {
  std::string patch = {};  ///< As `git apply` takes it. Binary files are named in one line.
  std::vector<FileChange> files = {};
};

/// The workspaces in one directory.
///
/// A workspace's machine is owned by a process of its own, its supervisor, which is started when a
/// command needs the machine. Callers may end at any moment; the machine and its processes go on.
///
/// Thread-safety: any number of threads and processes may use one directory.
class Workspaces {
 public:
  /// `machine` says which monitor runs the machines and where saved states are; its shape is not
  /// used. `store` is only needed to create workspaces, and for the cache directory.
  Workspaces(std::filesystem::path directory, StoreOptions store, MachineOptions machine);

  /// Installs the environment if needed, and makes a workspace, as a whole or not at all.
  /// @throws Error(usage) for an impossible name, shape or directory; as Machine's constructor
  CreatedWorkspace create(const std::string& name, const NewWorkspace& options,
                          const WorkspaceCall& call = {});

  /// Sorted by name. Those that cannot be read are left out with a warning.
  [[nodiscard]] std::vector<WorkspaceStatus> list(ProgressListener* progress = nullptr) const;
  /// @throws Error(not_found), here and below
  [[nodiscard]] WorkspaceStatus status(const std::string& name) const;
  /// Deletes those that have expired, unless they have changes that were not exported. Those that
  /// another process is using stay.
  /// @return their names
  std::vector<std::string> remove_expired();
  /// @throws Error(usage) for a name that is taken; (busy) while it runs
  void rename(const std::string& name, const std::string& new_name);
  /// Removes it, with everything in it. `force`: also while processes run in it.
  /// @throws Error(busy)
  void remove(const std::string& name, bool force = false);

  /// Runs a command to its end, in kWorkspaceDirectory unless `command` says otherwise. When this
  /// process ends earlier, the command goes on. Stop requests are those of `call`: they send
  /// `command.stop_signal` to the command, and the report is returned as usual.
  /// @throws Error as Machine::run()
  CommandReport run(const std::string& name, const CommandOptions& command,
                    const WorkspaceCall& call = {});
  /// Starts a command in the background. Its streams are not used; its output is kept. With an
  /// input its standard input stays open, for clients that attach to it.
  /// @return its number
  unsigned spawn(const std::string& name, const CommandOptions& command,
                 const WorkspaceCall& call = {});

  /// Passes the output of a running process on to the streams of `command` from now on, and its
  /// input to the process, if that was started with spawn() and an input; as a terminal, which
  /// Ctrl-P Ctrl-Q leaves, if `command` has one. Nothing else of `command` is used but its signals
  /// and callbacks. Stop requests are as for run().
  /// @return how the process ended; nothing when the user left it
  /// @throws Error(not_found) for one that has ended; (busy) when another client follows it
  std::optional<CommandReport> attach(const std::string& name, unsigned process,
                                      const CommandOptions& command,
                                      const WorkspaceCall& call = {});

  /// Those that run, and the last that ended; by their numbers.
  [[nodiscard]] std::vector<WorkspaceProcess> processes(const std::string& name) const;
  /// What a process wrote from `offset` on; `is_error`: to its standard error.
  [[nodiscard]] ProcessOutput output(const std::string& name, unsigned process, bool is_error,
                                     std::uint64_t offset) const;
  /// Sends a signal to the group of a process. One that has ended is left alone.
  void signal(const std::string& name, unsigned process, int signal);

  /// As Machine::copy_in(). Relative paths of the guest are below kWorkspaceDirectory.
  std::size_t copy_in(const std::string& name, const Copy& copy, const WorkspaceCall& call = {});
  /// The same the other way. In a Git checkout it writes no .git at any depth. In the directory
  /// that the workspace began with it replaces no files that were changed there since.
  CopiedOut copy_out(const std::string& name, const CopyOut& copy, const WorkspaceCall& call = {});

  /// Tells what differs from a snapshot, by git of this host. Without .git, and without empty
  /// directories.
  /// @throws Error(not_found) also for a snapshot; (failed) without git
  [[nodiscard]] WorkspaceDiff diff(const std::string& name, const DiffOptions& options = {},
                                   const WorkspaceCall& call = {}) const;
  /// Applies a patch to kWorkspaceDirectory, by git of this host: all of it, or nothing.
  /// @return the files that were changed, relative to kWorkspaceDirectory
  /// @throws Error(usage) for a text that is no patch, or changes files elsewhere or in .git;
  /// (failed) naming the first hunk that does not apply
  std::vector<std::string> patch(const std::string& name, std::string_view patch,
                                 const WorkspaceCall& call = {});

  /// Publishes a port until the workspace is stopped.
  /// @return the port of the host
  std::uint16_t publish(const std::string& name, const PortOptions& port);

  /// Keeps what the workspace is now, with its processes, as a snapshot: the machine stands still
  /// for the copy only. Without a name it is s1, s2 and so on.
  /// @throws Error(usage) for a name that is taken; (filesystem) without room
  TakenSnapshot snapshot(const std::string& name, const std::string& snapshot = {},
                         const WorkspaceCall& call = {});
  /// In the order in which they were made. The first is "baseline", of the new workspace.
  [[nodiscard]] std::vector<WorkspaceSnapshot> snapshots(const std::string& name) const;
  /// All of them or none.
  /// @throws Error(not_found); (usage) for the baseline
  void remove_snapshots(const std::string& name, const std::vector<std::string>& snapshots);

  /// Puts a snapshot in the place of what is there, which is kept as the snapshot "before-reset".
  /// Requests that are being served fail with "the workspace was reset".
  void reset(const std::string& name, const std::string& snapshot = "baseline",
             const WorkspaceCall& call = {});

  /// Makes a workspace of a snapshot of another; without one, of what that is now.
  /// @throws Error(usage) for a name that is taken
  void fork(const std::string& name, const std::string& snapshot, const std::string& new_name,
            const WorkspaceCall& call = {});

  /// Makes an environment of the whole system as it is now, with the content of
  /// kWorkspaceDirectory: a container that boots the kernel of the workspace, and has its
  /// configuration. Of `environment` the source, the kind and the base are not used. Files that are
  /// written meanwhile may be of any moment.
  /// @return its entry, which is added to `catalog`
  /// @throws Error as EnvironmentStore::add_from()
  Environment commit(const std::string& name, const NewEnvironment& environment,
                     const UserCatalog& catalog, const WorkspaceCall& call = {});

  /// Saves the machine, with its processes, and ends it: it takes no memory then, and the next
  /// command goes on where it was. Requests that are being served fail.
  void suspend(const std::string& name, const WorkspaceCall& call = {});

  /// Ends all processes, and the machine. What was written stays.
  void stop(const std::string& name, const WorkspaceCall& call = {});

 private:
  class Impl;
  std::shared_ptr<const Impl> impl_;
};

/// The main() of a supervisor: the executable calls it when its first argument is
/// kSupervisorWord. Returns the exit code.
inline constexpr const char* kSupervisorWord = "__supervise";
[[nodiscard]] int run_workspace_supervisor() noexcept;

}  // namespace pyro
