// Kernel states: a machine whose kernel has booted, saved before it touches its disk. Every image
// that boots the same kernel goes on from there, and none but the first has to boot.
#pragma once

#include <filesystem>
#include <optional>
#include <thread>

#include "pyro/error.h"
#include "store/transaction.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"

namespace pyro {

/// A kernel state that is made in passing, by a machine that is booted for something else. It is
/// published on a thread of its own, which the destructor waits for. Two that are made at the same
/// time do not disturb each other: the later one stays.
class KernelStateSave {
 public:
  /// `key` is that of a kernel state.
  /// @throws Error(filesystem) without room for the state, or where the cache cannot be written
  KernelStateSave(const CacheLayout& layout, const StateKey& key);
  ~KernelStateSave();
  KernelStateSave(const KernelStateSave&) = delete;
  KernelStateSave& operator=(const KernelStateSave&) = delete;

  /// For the memory of the machine. It is on no disk, as the machine goes on with it.
  [[nodiscard]] int memory() const noexcept { return memory_.get(); }

  /// Saves the machine while it stands still, lets it go on, and begins to publish. Returns why it
  /// was not saved, if it goes on all the same.
  /// @throws Error, as Machine::save(), when it does not go on
  [[nodiscard]] std::optional<Error> save(const LiveMachine& live, const StateKey& key,
                                          const ControlTimeout& timeout);

  /// Publishes that machines with this kernel cannot be saved.
  void note_impossible(const MachineConfig& config, const StateKey& key);

 private:
  const std::filesystem::path directory_;
  const Fd parent_;
  StagingDirectory staging_;
  const Fd memory_;
  PreparedState state_;
  std::thread publisher_;
};

}  // namespace pyro
