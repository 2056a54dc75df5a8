// Machines that are saved with what runs in them, to go on later or to be there once more: of
// workspaces. The files and their manifest are one user's alone; checksums find what a disk lost.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "machine/monitor.h"
#include "machine/state_conditions.h"

namespace pyro {

/// Empty files that a machine is saved to.
struct SaveTarget {
  int memory = -1;
  int devices = -1;
  int disk = -1;  ///< Gets a copy of its disk; -1 for none.
};

/// A machine that was saved.
struct SavedMachine {
  Fd memory;
  Fd devices;
  nlohmann::json manifest;                   ///< Of describe_saved_machine().
  std::vector<std::uint16_t> sessions = {};  ///< Of the commands that run in it.
  /// Called before a machine runs with its disk: from then on its memory does not fit that.
  std::function<void()> forget = {};
};

/// Copies the memory or the devices of a machine to an empty file. Pages of zeros become holes.
/// @return the checksum of the content: CRC-64 of ECMA-182, of the numbers and the bytes of the
/// pages that are not zero
/// @throws Error(filesystem), (interrupted)
std::uint64_t copy_pages(int from, int to, const std::string& subject, const std::stop_token& stop);

/// The same checksum of a file.
[[nodiscard]] std::uint64_t checksum_of_pages(int file, const std::string& subject);

/// The manifest of a machine that was saved under these conditions.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] nlohmann::json describe_saved_machine(const StateKey& key,
                                                    const MachineConfig& config,
                                                    std::uint64_t memory_checksum,
                                                    std::uint64_t devices_checksum,
                                                    const std::stop_token& stop);

/// The config of a saved machine.
/// @throws Error(failed) when it does not fit the host, the monitor or this pyro any more
[[nodiscard]] MachineConfig config_of_saved_machine(const SavedMachine& saved, const StateKey& key);

/// Copies its files to empty ones, for a machine to run with.
/// @throws Error(failed) when they were changed; (filesystem), (interrupted)
void load_saved_machine(const SavedMachine& saved, int memory, int devices,
                        const std::stop_token& stop);

}  // namespace pyro
