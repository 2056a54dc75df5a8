// The files of the host that a workspace began with, and what a copy out of it may do to them.
//
// The record is the file seed-files of a workspace (docs/formats.md).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/tree_receiver.h"
#include "pyro/workspace.h"

namespace pyro {

/// What the files of a directory were when a workspace took them over, or when they were copied out
/// of it. Their sizes and times tell whether they were changed since.
class HostFiles {
 public:
  explicit HostFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// That of a workspace, whose directory is open; nothing where it did not begin with a directory.
  /// @throws Error(failed)
  [[nodiscard]] static std::optional<HostFiles> read(int workspace);
  /// @throws Error(filesystem)
  void write(int workspace, const std::filesystem::path& shown) const;

  [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }
  /// `path`: below the directory.
  void note(const std::string& path, const struct stat& status);
  [[nodiscard]] bool is_unchanged(const std::string& path, const struct stat& status) const;

 private:
  struct State {
    std::int64_t size = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    bool operator==(const State&) const = default;
  };
  [[nodiscard]] static State state_of(const struct stat& status);

  std::filesystem::path directory_;
  std::map<std::string, State, std::less<>> files_ = {};
};

/// The rules for a copy out of a workspace to a place on the host. In a Git checkout it writes no
/// .git at any depth. Files that the workspace began with, and that were changed on the host since,
/// are left alone.
class CopyOutRules : public TreeRules {
 public:
  /// `workspace`: its directory, for the record; -1 for none.
  CopyOutRules(const CopyOut& copy, int workspace) : copy_(copy), workspace_(workspace) {}

  void begin(const std::filesystem::path& root) override;
  [[nodiscard]] bool wants(const std::string& path, guest::EntryKind kind) override;
  void note_written(const std::string& path) override;

  [[nodiscard]] const CopiedOut& result() const noexcept { return result_; }
  /// Records what was written. `shown`: the directory in errors.
  void keep_notes(const std::filesystem::path& shown) const;

 private:
  [[nodiscard]] std::filesystem::path place_of(const std::string& path) const;
  /// Below the directory that the workspace began with.
  [[nodiscard]] std::optional<std::string> path_of_seed(const std::string& path) const;
  [[nodiscard]] bool was_changed_on_host(const std::string& path) const;
  [[nodiscard]] bool runs_by_itself(const std::filesystem::path& place) const;

  const CopyOut& copy_;
  const int workspace_;
  std::optional<HostFiles> files_;
  bool has_noted_ = false;
  std::filesystem::path root_;
  std::filesystem::path checkout_;               ///< That has the root; empty for none.
  std::optional<std::string> replaced_content_;  ///< Of a file that may run by itself.
  CopiedOut result_;
};

/// Whether programs of the host run a file of that path in a checkout, or what it says, without
/// being told: ".envrc", ".vscode/tasks.json", ".github/workflows/ci.yml".
[[nodiscard]] bool may_run_by_itself(const std::filesystem::path& path);

}  // namespace pyro
