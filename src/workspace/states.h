// The states of a workspace: the one that its machine goes on from, and its snapshots.
//
//   states/N/disk.ext4      what was written in the workspace
//            memory         of a machine that is to resume
//            devices
//            machine.json   says so, and which commands run in it; written last
//
// Which of them are snapshots says the manifest of the workspace. A snapshot does not change, so
// states share its files. docs/formats.md describes machine.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "machine/saved_machine.h"

namespace pyro {

/// A command that runs in a saved machine.
struct SavedProcess {
  std::uint16_t session = 0;
  unsigned number = 0;  ///< In the workspace that was saved.
  std::vector<std::string> command;
  bool keeps_input = false;  ///< Its input is open for who attaches to it.
};

/// The directory of one state, open.
class WorkspaceState {
 public:
  WorkspaceState(Fd directory, std::filesystem::path path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// For reading and writing.
  /// @throws Error(filesystem), here and below
  [[nodiscard]] Fd disk() const;
  /// An empty one.
  [[nodiscard]] Fd make_disk() const;

  /// Whether it has a machine to resume.
  [[nodiscard]] bool has_machine() const;
  /// That machine, which is forgotten when it runs, as its memory fits the disk no more. Nothing
  /// without one.
  [[nodiscard]] std::optional<SavedMachine> saved_machine() const;
  [[nodiscard]] std::vector<SavedProcess> processes() const;

  /// Files for a machine that is about to be saved, in place of those of an earlier one.
  struct MachineFiles {
    Fd memory;
    Fd devices;
  };
  [[nodiscard]] MachineFiles make_machine_files() const;
  /// From then on the saved machine counts. `is_durable`: also after a power cut. Otherwise its
  /// checksums tell what was lost, and the disk, which is durable, is what stays.
  void write_machine(const nlohmann::json& manifest, const std::vector<SavedProcess>& processes,
                     bool is_durable) const;
  /// Durably: the next machine starts from the disk.
  void forget_machine() const;

  /// Disk space in bytes, of all that it shares, too.
  [[nodiscard]] std::uint64_t allocated_bytes() const;

  /// Fills a new one. `shares_disk`: neither of them changes.
  void copy_from(const WorkspaceState& other, bool shares_disk, const std::stop_token& stop) const;

 private:
  [[nodiscard]] Fd make_file(const char* name) const;
  void sync(const char* name) const;

  Fd directory_;
  std::filesystem::path path_;
};

}  // namespace pyro
