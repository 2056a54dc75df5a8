// The saved states of machines in the cache, and whether they can be used.
//
//   <cache>/prepared/<name>/<cpus>-<memory>-<network>[-disk<MiB>][-<base>]/   prepared states
//   <cache>/prepared/<base>/kernel-<cpus>-<memory>-<network>[-disk]/          kernel states
//       memory          the memory of the guest, mapped by every machine that resumes from it
//       devices         the state of its devices
//       disk            its scratch disk, copied by every machine
//       manifest.json   the conditions it was made under, authenticated; written last
//
// docs/formats.md describes the manifest.
#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "machine/monitor.h"
#include "machine/state_conditions.h"
#include "machine/state_seal.h"
#include "store/layout.h"
#include "store/transaction.h"

namespace pyro {

/// In the manifest of a state without content: why such a machine cannot be saved.
inline constexpr const char* kImpossible = "impossible";

struct PreparedState {
  MachineConfig config;
  Fd memory = {};
  Fd devices = {};
  Fd disk = {};  ///< Of a prepared state: its scratch disk, if it has one.
};

/// The manifest of a state that was made under these conditions, not sealed. Reads the files, for
/// their digests.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] nlohmann::json state_manifest(const StateConditions& conditions,
                                            const PreparedState& state,
                                            const std::stop_token& stop = {});

/// How a manifest compares with what is there now.
struct StateMatch {
  MachineConfig config;                  ///< That of the machine.
  std::vector<std::string> differences;  ///< None: the state can be used.
  nlohmann::json manifest;               ///< With the identities that its files have now.
};

/// `own`: the files of the state itself. Without differences so far it reads those files whose
/// identity has changed.
[[nodiscard]] StateMatch match_state(const nlohmann::json& manifest, const StateKey& key,
                                     std::map<std::string, StateFile> own);

/// An empty file of a state. QEMU opens that of the memory for writing even when it maps it
/// privately, so both are for the caller only.
[[nodiscard]] Fd make_state_file(const StagingDirectory& staging, const char* name);

/// The limit for saving a machine, which usually takes half a second.
inline constexpr std::chrono::seconds kSaveTimeout{60};

/// Makes the files of the state in `staging` durable, as SavedStates::publish() requires.
/// @throws Error(filesystem)
void sync_state(const StagingDirectory& staging, const PreparedState& state);

struct StateLookup {
  std::optional<PreparedState> state;  ///< When it matches.
  bool exists = false;
  std::vector<std::string> differences;  ///< Why an existing one does not match.
  /// One matches, but has no content: such machines cannot be saved.
  bool is_impossible = false;
};

/// The states of one user in a cache. Thread-safe.
class SavedStates {
 public:
  /// @throws as StateSeal
  SavedStates(const CacheLayout& layout, const MachineOptions& options)
      : layout_(layout), seal_(options) {}

  [[nodiscard]] const CacheLayout& layout() const noexcept { return layout_; }

  /// The folder of its state: one for each shape of machine, and for each base.
  [[nodiscard]] std::filesystem::path directory_of(const StateKey& key) const;

  /// The state that a key has, if it belongs to the caller and is authentic. One that other users
  /// could write is verified first, one that was copied is compared by its digests.
  [[nodiscard]] StateLookup find(const StateKey& key) const;

  /// Makes the key that states are sealed with, if there is none.
  /// @throws as StateSeal::require_key()
  void require_key() const { seal_.require_key(); }

  /// Writes the manifest of the state in `staging`, whose other files must have been synced, and
  /// publishes it as `directory`, whose parent is open.
  void publish(StagingDirectory& staging, nlohmann::json manifest, int parent,
               const std::filesystem::path& directory) const;

  /// Whether a machine of this kind was started before; from now on one was. False where the cache
  /// cannot be written.
  [[nodiscard]] bool was_started_before(const StateKey& key) const;

 private:
  void compare(const StateKey& key, Fd folder, const std::filesystem::path& directory,
               const nlohmann::json& manifest, StateLookup& lookup) const;
  void record_adoption(Fd folder, const std::filesystem::path& directory,
                       nlohmann::json manifest) const;

  const CacheLayout& layout_;
  const StateSeal seal_;
};

}  // namespace pyro
