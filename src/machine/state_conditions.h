// What must be the same to go on from a saved state: the machine, the programs that run it, and of
// a prepared state what is installed.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "machine/monitor.h"
#include "pyro/digest.h"
#include "store/installation.h"

namespace pyro {

/// A prepared state is of a machine that takes commands, a kernel state of one that has not touched
/// its disk. One that is kept is of a workspace, with files of its own that do not change.
enum class StateKind { prepared, kernel, kept };

/// The install and the machine that a state belongs to.
struct StateKey {
  const InstallLease& lease;
  /// From config_for(). The state is of one of the monitor's candidates for it: the one that
  /// booted.
  MachineConfig asked;
  const MachineMonitor& monitor;
  StateKind kind = StateKind::prepared;
};

/// Which of the candidates of a monitor a machine has.
[[nodiscard]] nlohmann::json machine_type_json(const MachineConfig& config);

/// The kernel that a container of that base boots, as a name of an environment.
[[nodiscard]] std::string name_of_base(const BaseRecord& base);

/// A file that a state depends on, open for reading. It is told by device, inode, size and time,
/// and where these differ, as in a cache that was copied, by its digest.
class StateFile {
 public:
  /// Opens the same file once more, as descriptors share their offset. -1 for one that is missing.
  explicit StateFile(int file, std::optional<Digest> digest = std::nullopt);
  explicit StateFile(const std::filesystem::path& file);

  /// Its identity and digest. Reads it, unless its digest is known. Errors name it `name`.
  /// @throws Error(filesystem), (interrupted)
  [[nodiscard]] nlohmann::json record(const std::string& name, const std::stop_token& stop) const;

  /// Whether `record` has its identity.
  [[nodiscard]] bool is_identical(const nlohmann::json& record) const;
  /// Whether `record` has its digest. Reads it. False also when that fails.
  [[nodiscard]] bool has_content(const nlohmann::json& record) const;

  [[nodiscard]] nlohmann::json identity() const;

 private:
  Fd file_;
  std::optional<Digest> digest_;
};

struct StateConditions {
  nlohmann::json values;                   ///< Compared as they are.
  std::map<std::string, StateFile> files;  ///< By their names in a manifest.
};

/// Those of a machine that was started with `config`.
[[nodiscard]] StateConditions state_conditions(const StateKey& key, const MachineConfig& config);

/// One line for each value that differs, for messages.
[[nodiscard]] std::vector<std::string> differences_between(const nlohmann::json& before,
                                                           const nlohmann::json& now);
/// The line for one of them, or for a file.
[[nodiscard]] std::string difference_in(const std::string& condition);

}  // namespace pyro
