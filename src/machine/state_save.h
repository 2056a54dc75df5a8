// States that are made in passing, by a machine that runs for something else.
//
// A kernel state is of a machine that has booted and has not touched its disk: every image that
// boots the same kernel goes on from there, and none but the first has to boot. A prepared state is
// of a machine that takes commands.
#pragma once

#include <filesystem>
#include <optional>
#include <thread>

#include "machine/saved_states.h"
#include "pyro/error.h"
#include "store/transaction.h"

namespace pyro {

struct LiveMachine;

/// Published on a thread of its own, which the destructor waits for. Two that are made at the same
/// time do not disturb each other: the later one stays.
class StateSave {
 public:
  /// @throws Error(filesystem) without room for the state, or where the cache cannot be written;
  /// as SavedStates::require_key()
  StateSave(const SavedStates& states, const StateKey& key);
  ~StateSave();
  StateSave(const StateSave&) = delete;
  StateSave& operator=(const StateSave&) = delete;

  /// For the memory of the machine. It is on no disk, as the machine goes on with it.
  [[nodiscard]] int memory() const noexcept { return memory_.get(); }

  /// Saves the machine while it stands still, lets it go on, and begins to publish. Returns why it
  /// was not saved, if it goes on all the same.
  /// @throws Error, as VirtualMachine::save(), when it does not go on
  [[nodiscard]] std::optional<Error> save(const LiveMachine& live, const StateKey& key,
                                          const ControlTimeout& timeout);

  /// Publishes that such machines cannot be saved.
  void note_impossible(const MachineConfig& config, const StateKey& key);

 private:
  const SavedStates& states_;
  const std::filesystem::path directory_;
  const Fd parent_;
  StagingDirectory staging_;
  const Fd memory_;
  PreparedState state_;
  std::thread publisher_;
};

}  // namespace pyro
