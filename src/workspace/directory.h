// Workspaces on disk:
//
//   <directory>/NAME/workspace.json   what the workspace is made of
//                    files/           links to the files of its environment and of its kernel
//                    states/N/        what was written in it, now and at its snapshots
//                    processes/N/     its processes, and what they wrote
//                    seed-files       what the files of the host were that it began with
//                    changed          there are changes that were not exported
//                    lock             held by its supervisor, and by who renames or deletes it
//                    socket           of its supervisor
//   <directory>/.new-ID/              one that is being made, locked by its supervisor
//
// docs/formats.md describes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "machine/launch.h"
#include "pyro/workspace.h"
#include "store/install_record.h"
#include "workspace/manifest.h"
#include "workspace/states.h"

namespace pyro {

/// The directory of one workspace, open: it stays the same when it is renamed.
class WorkspaceDirectory {
 public:
  WorkspaceDirectory(Fd directory, std::filesystem::path path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  [[nodiscard]] int descriptor() const noexcept { return directory_.get(); }
  /// Where it was when it was opened, for messages.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  [[nodiscard]] WorkspaceManifest manifest() const;
  /// Replaces it, durably.
  /// @throws Error(filesystem), here and below
  void write(const WorkspaceManifest& manifest) const;
  /// Removes the states that the manifest does not name.
  void remove_unused_states(const WorkspaceManifest& manifest) const noexcept;

  /// Makes the files of a new one, and the state that is its first.
  void fill(const WorkspaceManifest& manifest, const InstallLease& lease,
            const std::stop_token& stop) const;
  /// Gives a new one the files of another.
  void take_files_of(const WorkspaceDirectory& other, const std::stop_token& stop) const;

  [[nodiscard]] WorkspaceState state(unsigned number) const;
  /// An empty one.
  [[nodiscard]] WorkspaceState make_state(unsigned number) const;
  void remove_state(unsigned number) const noexcept;

  /// That of the container image that it was made of; nothing for others.
  /// @throws Error(failed)
  [[nodiscard]] std::optional<ContainerConfig> config() const;

  /// What its machine is made of.
  /// @throws Error(filesystem), (failed)
  [[nodiscard]] KeptMachine machine(std::string name, bool is_new) const;

  /// Nothing while another process has it.
  [[nodiscard]] std::optional<FileLock> try_lock() const;

  /// The same, after waiting for a supervisor that is about to end.
  /// @throws Error(busy)
  [[nodiscard]] FileLock lock() const;

  /// A connection to its supervisor; empty when there is none.
  [[nodiscard]] Fd connect() const;
  /// The socket of its supervisor, who has the lock.
  /// @throws Error(filesystem)
  [[nodiscard]] Fd listen() const;

  /// Records durably that files may have been changed.
  void note_change() const;
  /// Records that all changes are exported.
  void note_export() const noexcept;
  [[nodiscard]] bool has_changes() const noexcept;

  /// Records that it is used now.
  void note_use() const noexcept;
  [[nodiscard]] std::chrono::system_clock::time_point last_use() const;

  /// Disk space in bytes, without that of the environment's files, which it shares.
  [[nodiscard]] std::uint64_t allocated_bytes() const;

 private:
  [[nodiscard]] InstallRecord record_in(int files) const;
  [[nodiscard]] Fd open_files() const;
  [[nodiscard]] Fd make_files() const;
  [[nodiscard]] Fd open_states() const;

  Fd directory_;
  std::filesystem::path path_;
};

/// The directory of all workspaces of a user.
class WorkspacesDirectory {
 public:
  explicit WorkspacesDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Sorted.
  /// @throws Error(filesystem), also for a directory of another user, or that others may write
  [[nodiscard]] std::vector<std::string> names() const;
  /// Nothing when there is none of that name.
  [[nodiscard]] std::optional<WorkspaceDirectory> find(const std::string& name) const;
  /// @throws Error(not_found) with the names that there are
  [[nodiscard]] WorkspaceDirectory require(const std::string& name) const;

  /// A directory for a new one, which remove_leftovers() spares as long as it is locked.
  struct New;
  [[nodiscard]] New make_new() const;
  /// Gives it a name, durably. False when there is one of that name.
  bool publish(const WorkspaceDirectory& made, const std::string& name) const;
  /// False when there is one of that name.
  bool rename(const WorkspaceDirectory& workspace, const std::string& name) const;
  /// Removes it; who has opened it keeps what is open.
  void remove(const WorkspaceDirectory& workspace) const;
  /// Removes what processes left that were killed.
  void remove_leftovers() const;

 private:
  [[nodiscard]] Fd open() const;
  [[nodiscard]] Fd make() const;

  std::filesystem::path path_;
};

struct WorkspacesDirectory::New {
  WorkspaceDirectory directory;
  FileLock lock;
};

}  // namespace pyro
