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
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "store/layout.h"
#include "vm/monitor.h"
#include "vm/state_conditions.h"

namespace pyro {

[[nodiscard]] std::filesystem::path prepared_state_dir(const CacheLayout& layout,
                                                       const std::string& environment,
                                                       GuestNetwork network);

struct PreparedState {
  MachineShape shape;
  Fd memory;
  Fd devices;
};

/// Of one that was made under these conditions. Reads both files, for their digests.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] nlohmann::json state_manifest(const nlohmann::json& conditions,
                                            const PreparedState& state,
                                            const std::stop_token& stop = {});

struct StateLookup {
  std::optional<PreparedState> state;  ///< That matches.
  bool exists = false;
  std::vector<std::string> differences;  ///< One line each, when one exists that does not match.
};

/// Of the caller's own, that others cannot write. One that they could is read again, and does not
/// match where it is not as it was saved.
[[nodiscard]] StateLookup find_prepared_state(const CacheLayout& layout,
                                              const std::filesystem::path& directory,
                                              const StateOwner& owner);

}  // namespace pyro
