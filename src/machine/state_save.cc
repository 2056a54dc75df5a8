// States that are made in passing.
#include "machine/state_save.h"

#include <cstdint>
#include <string>
#include <utility>

#include "base/directories.h"
#include "base/fs_verity.h"
#include "machine/launch.h"
#include "pyro/error.h"

namespace pyro {
namespace {

/// More than a guest without work takes.
constexpr std::uint64_t kRoom = std::uint64_t{256} << 20;

}  // namespace

StateSave::StateSave(const SavedStates& states, const StateKey& key)
    : states_(states),
      directory_(states.directory_of(key)),
      parent_(states.layout().make(directory_.parent_path())),
      staging_(states.layout()),
      memory_(make_memory_file(kMemorySubject)) {
  require_free_space(states.layout().staging_dir(), kRoom);
  states.require_key();
}

StateSave::~StateSave() {
  if (publisher_.joinable()) publisher_.join();
}

std::optional<Error> StateSave::save(const LiveMachine& live, const StateKey& key,
                                     const ControlTimeout& timeout) {
  state_ = {.config = live.config,
            .memory = make_state_file(staging_, kMemoryName),
            .devices = make_state_file(staging_, kDevicesName)};
  live.guest->machine().save(state_.devices.get(), timeout);
  std::optional<Error> failure;
  try {
    copy_sparse(memory_.get(), state_.memory.get(), kMemorySubject, timeout.stop);
    if (live.scratch && key.kind == StateKind::prepared) {
      state_.disk = make_state_file(staging_, kDiskName);
      copy_sparse(live.scratch.get(), state_.disk.get(), "its scratch disk", timeout.stop);
    }
  } catch (const Error& error) {  // a full disk
    if (error.code() == ErrorCode::interrupted) throw;
    failure = error;
  }
  live.guest->machine().go_on(timeout);
  if (failure) return failure;
  publisher_ = std::thread([this, conditions = state_conditions(key, state_.config)] {
    try {
      sync_state(staging_, state_);
      states_.publish(staging_, state_manifest(conditions, state_), parent_.get(), directory_);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next boot makes another.
    }
  });
  return std::nullopt;
}

void StateSave::note_impossible(const MachineConfig& config, const StateKey& key) {
  const PreparedState none{.config = config,
                           .memory = make_state_file(staging_, kMemoryName),
                           .devices = make_state_file(staging_, kDevicesName)};
  nlohmann::json manifest = state_manifest(state_conditions(key, config), none);
  manifest[kImpossible] = "the kernel has its driver of disks built in";
  states_.publish(staging_, std::move(manifest), parent_.get(), directory_);
}

}  // namespace pyro
