// The saved states of machines in the cache, and whether they still match. A prepared state is of a
// machine that takes commands, a kernel state (machine/kernel_state.h) of one that has not touched
// its disk.
//
//   <cache>/prepared/<name>/<cpus>-<memory>-<network>[-<base>]/   prepared states
//   <cache>/prepared/<base>/kernel-<cpus>-<memory>-<network>/     kernel states
//       memory          the memory of the guest, mapped by every machine that resumes from it
//       devices         the state of its devices
//       manifest.json   the conditions it was made under; written last
//
// docs/formats.md describes the manifest.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "machine/monitor.h"
#include "store/installation.h"
#include "store/layout.h"
#include "store/transaction.h"

namespace pyro {

enum class StateKind { prepared, kernel };

/// The install and the machine that a state belongs to.
struct StateKey {
  const InstallLease& lease;
  /// From config_for(). The state is of one of the monitor's candidates for it: the one that
  /// booted.
  MachineConfig asked;
  const MachineMonitor& monitor;
  StateKind kind = StateKind::prepared;
};

/// Everything that must be the same to resume from a state, one field for each condition: of a
/// kernel state none of the disk. Files are identified by device, inode, size and time, and not
/// read.
[[nodiscard]] nlohmann::json state_conditions(const StateKey& key, const MachineConfig& config);

/// One line for each condition that differs, for messages.
[[nodiscard]] std::vector<std::string> differences_between(const nlohmann::json& before,
                                                           const nlohmann::json& now);

/// In the manifest of a state without content: why such a machine cannot be saved.
inline constexpr const char* kImpossible = "impossible";

/// The identity of an open file.
[[nodiscard]] nlohmann::json file_identity(int fd);

/// Which of the candidates of a monitor a machine has.
[[nodiscard]] nlohmann::json machine_type_json(const MachineConfig& config);

/// "none", "user".
[[nodiscard]] std::string_view name_of(GuestNetwork network) noexcept;

/// Its folder: one for each shape of machine, and for each base.
[[nodiscard]] std::filesystem::path state_dir(const CacheLayout& layout, const StateKey& key);

struct PreparedState {
  MachineConfig config;
  Fd memory;
  Fd devices;
};

/// The manifest of a state that was made under these conditions. Reads both files, for their
/// digests.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] nlohmann::json state_manifest(const nlohmann::json& conditions,
                                            const PreparedState& state,
                                            const std::stop_token& stop = {});

/// An empty file of a state. QEMU opens that of the memory for writing even when it maps it
/// privately, so both are for the caller only.
[[nodiscard]] Fd make_state_file(const StagingDirectory& staging, const char* name);

/// Writes the manifest of the state in `staging`, whose other files must have been synced, and
/// publishes it as `directory`, whose parent is open.
void publish_state(StagingDirectory& staging, const nlohmann::json& manifest, int parent,
                   const std::filesystem::path& directory);

struct StateLookup {
  std::optional<PreparedState> state;  ///< When it matches.
  bool exists = false;
  std::vector<std::string> differences;  ///< Why an existing one does not match.
  /// One matches, but has no content: such machines cannot be saved.
  bool is_impossible = false;
};

/// The state that a key has, if it belongs to the caller. One that other users could write is
/// verified first.
[[nodiscard]] StateLookup find_state(const CacheLayout& layout, const StateKey& key);
/// The same for the state in `directory`.
[[nodiscard]] StateLookup find_state(const CacheLayout& layout,
                                     const std::filesystem::path& directory, const StateKey& key);

}  // namespace pyro
