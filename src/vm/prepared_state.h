// The saved state of a machine in the cache, and whether it still is of what is there now.
//
//   <cache>/prepared/<name>/<network>/
//       memory          the guest's memory, mapped by every machine that goes on from it
//       devices         everything else of the machine
//       manifest.json   what it was made from; written last
//
// Source: spec section 4 (outside the platform folder) and section 9, `pyro prepare`.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "store/held_installation.h"
#include "store/layout.h"
#include "vm/monitor.h"

namespace pyro {

inline constexpr const char* kMemoryName = "memory";
inline constexpr const char* kDevicesName = "devices";
inline constexpr const char* kManifestName = "manifest.json";

/// Everything that has to be the same for a machine to go on from a state: one key for each thing,
/// so that what differs can be named. Files are told by device, inode, size and time; none is read.
[[nodiscard]] nlohmann::json state_conditions(const HeldInstallation& held,
                                              const MachineShape& shape,
                                              const std::filesystem::path& monitor);

/// The identity of an open file.
[[nodiscard]] nlohmann::json file_identity(int fd);

[[nodiscard]] std::filesystem::path prepared_state_dir(const CacheLayout& layout,
                                                       const std::string& environment,
                                                       GuestNetwork network);

struct PreparedState {
  std::filesystem::path directory;
  nlohmann::json manifest;
  Fd memory;
  Fd devices;
};

struct StateLookup {
  std::optional<PreparedState> state;  ///< That matches.
  bool exists = false;
  std::vector<std::string> differences;  ///< One line each, when one exists that does not match.
};

[[nodiscard]] StateLookup find_prepared_state(const std::filesystem::path& directory,
                                              const nlohmann::json& conditions);

}  // namespace pyro
