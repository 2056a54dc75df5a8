// The prepared state of a machine in the cache, and whether it still matches the install.
//
//   <cache>/prepared/<name>/<network>/
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
#include "store/installation.h"
#include "store/layout.h"
#include "vm/monitor.h"

namespace pyro {

/// The install and the machine that a state belongs to.
struct StateKey {
  const InstallLease& lease;
  /// From config_for(). The state may be of one of its fallback_configs(): the one that booted.
  MachineConfig asked;
  std::filesystem::path monitor;
};

/// Everything that must be the same to resume from a state, one field for each condition. Files are
/// identified by device, inode, size and time, and not read.
[[nodiscard]] nlohmann::json state_conditions(const StateKey& key, const MachineConfig& config);

/// One line for each condition that differs, for messages.
[[nodiscard]] std::vector<std::string> differences_between(const nlohmann::json& before,
                                                           const nlohmann::json& now);

/// The identity of an open file.
[[nodiscard]] nlohmann::json file_identity(int fd);

/// Which of the fallback_configs() a machine has.
[[nodiscard]] nlohmann::json machine_type_json(const MachineConfig& config);

/// "none", "user".
[[nodiscard]] std::string_view name_of(GuestNetwork network) noexcept;

[[nodiscard]] std::filesystem::path prepared_state_dir(const CacheLayout& layout,
                                                       const std::string& environment,
                                                       GuestNetwork network);

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

struct StateLookup {
  std::optional<PreparedState> state;  ///< When it matches.
  bool exists = false;
  std::vector<std::string> differences;  ///< Why an existing one does not match.
};

/// The state in `directory`, if it belongs to the caller. One that other users could write is
/// verified first.
[[nodiscard]] StateLookup find_prepared_state(const CacheLayout& layout,
                                              const std::filesystem::path& directory,
                                              const StateKey& key);

}  // namespace pyro
