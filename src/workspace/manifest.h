// What a workspace is made of, and which of its states are snapshots: workspace.json. It is
// replaced as a whole, which is the one step of every change of snapshots.
//
// docs/formats.md describes it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"
#include "pyro/machine.h"
#include "pyro/workspace.h"
#include "store/install_record.h"

namespace pyro {

/// The snapshot that a new workspace has.
inline constexpr std::string_view kBaseline = "baseline";
/// What was there before the last reset.
inline constexpr std::string_view kBeforeReset = "before-reset";

/// A state that has a name and does not change any more.
struct SnapshotRecord {
  std::string name;
  unsigned state = 0;
  std::chrono::system_clock::time_point made = {};
};

struct WorkspaceManifest {
  std::string environment;
  std::string version;
  EnvironmentKind kind = EnvironmentKind::environment;
  std::optional<BaseRecord> base = {};  ///< Of a container.
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  unsigned disk_mib = 0;
  GuestNetwork network = GuestNetwork::none;
  std::chrono::seconds idle{};  ///< 0: never.
  bool idle_with_processes = false;
  std::chrono::seconds ttl{};  ///< 0: for ever.
  bool discard = false;        ///< An expired one is deleted with its changes.
  std::chrono::system_clock::time_point created = {};
  unsigned current = 1;  ///< The state that its machine goes on from.
  std::vector<SnapshotRecord> snapshots = {};

  [[nodiscard]] std::string render() const;
  /// @throws Error(failed)
  [[nodiscard]] static WorkspaceManifest parse(std::string_view text);

  [[nodiscard]] Environment entry() const;

  /// The end of its life; nothing where it has none.
  [[nodiscard]] std::optional<std::chrono::system_clock::time_point> expires() const;

  /// Nothing when there is none of that name.
  [[nodiscard]] const SnapshotRecord* find_snapshot(std::string_view name) const;
  /// @throws Error(not_found) with the names that there are
  [[nodiscard]] const SnapshotRecord& require_snapshot(std::string_view name) const;
  /// In place of one of that name.
  void add_snapshot(std::string_view name, unsigned state);
  void remove_snapshot(std::string_view name);
  /// The number of a new state.
  [[nodiscard]] unsigned next_state() const;
  /// Whether a state is the current one or a snapshot.
  [[nodiscard]] bool uses(unsigned state) const;
};

/// @throws Error(usage) for a name that no workspace and no snapshot can have
void require_workspace_name(std::string_view name);

}  // namespace pyro
