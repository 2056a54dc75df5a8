// The states of a workspace.
#include "workspace/states.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/directories.h"
#include "base/fs_verity.h"
#include "base/output_file.h"
#include "base/strict_json.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr const char* kDisk = "disk.ext4";
constexpr const char* kMemoryFile = "memory";
constexpr const char* kDevices = "devices";
constexpr const char* kMachine = "machine.json";
constexpr const char* kSavedProcesses = "processes";
constexpr std::size_t kMaxMachine = std::size_t{16} << 20;

/// Nothing for one that cannot be read, or was not written to its end.
std::optional<json> read_machine(int directory) {
  const auto text = read_small_file_at(directory, kMachine, kMaxMachine);
  json document = parse_strict_json_or_null(text.value_or(""));
  return document.is_object() ? std::optional(std::move(document)) : std::nullopt;
}

/// None in a manifest that is damaged.
std::vector<SavedProcess> processes_in(const json& machine) try {
  std::vector<SavedProcess> processes;
  for (const json& process : machine.at(kSavedProcesses)) {
    processes.push_back({.session = process.at("session"),
                         .number = process.at("number"),
                         .command = process.at("command"),
                         .keeps_input = process.value("keeps_input", false)});
  }
  return processes;
} catch (const json::exception&) {
  return {};
}

bool is_link_made(int from, int to, const char* name) {
  return ::linkat(from, name, to, name, 0) == 0;
}

void remove_durably(int directory, const std::filesystem::path& path) {
  if (::unlinkat(directory, kMachine, 0) == 0) sync_file(directory, path);
  for (const char* const name : {kMemoryFile, kDevices}) ::unlinkat(directory, name, 0);
}

}  // namespace

Fd WorkspaceState::disk() const {
  return open_at(directory_.get(), kDisk, O_RDWR | O_NOFOLLOW, 0, path_ / kDisk);
}

Fd WorkspaceState::make_disk() const {
  return make_file(kDisk);
}

Fd WorkspaceState::make_file(const char* name) const {
  return open_at(directory_.get(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                 path_ / name);
}

bool WorkspaceState::has_machine() const {
  return ::faccessat(directory_.get(), kMachine, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

std::vector<SavedProcess> WorkspaceState::processes() const {
  const auto document = read_machine(directory_.get());
  return document ? processes_in(*document) : std::vector<SavedProcess>();
}

std::optional<SavedMachine> WorkspaceState::saved_machine() const {
  if (!has_machine()) return std::nullopt;
  SavedMachine saved{.memory = Fd(try_open(directory_.get(), kMemoryFile, O_RDONLY | O_NOFOLLOW)),
                     .devices = Fd(try_open(directory_.get(), kDevices, O_RDONLY | O_NOFOLLOW)),
                     .manifest = read_machine(directory_.get()).value_or(json::object())};
  for (const SavedProcess& process : processes_in(saved.manifest)) {
    saved.sessions.push_back(process.session);
  }
  saved.forget = [directory = std::make_shared<Fd>(duplicate(directory_.get())), path = path_] {
    remove_durably(directory->get(), path);
  };
  return saved;
}

WorkspaceState::MachineFiles WorkspaceState::make_machine_files() const {
  forget_machine();
  return {make_file(kMemoryFile), make_file(kDevices)};
}

void WorkspaceState::write_machine(const json& manifest, const std::vector<SavedProcess>& processes,
                                   bool is_durable) const {
  sync(kDisk);
  if (is_durable) {
    for (const char* const name : {kMemoryFile, kDevices}) sync(name);
  }
  json document = manifest;
  document[kSavedProcesses] = json::array();
  for (const SavedProcess& process : processes) {
    document[kSavedProcesses].push_back({{"session", process.session},
                                         {"number", process.number},
                                         {"command", process.command},
                                         {"keeps_input", process.keeps_input}});
  }
  const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  replace_file_at(directory_.get(), path_ / kMachine, text, 0600);
}

void WorkspaceState::forget_machine() const {
  remove_durably(directory_.get(), path_);
}

std::uint64_t WorkspaceState::allocated_bytes() const {
  return pyro::allocated_bytes_at(directory_.get(), ".");
}

void WorkspaceState::copy_from(const WorkspaceState& other, bool shares_disk,
                               const std::stop_token& stop) const {
  if (!shares_disk || !is_link_made(other.directory_.get(), directory_.get(), kDisk)) {
    copy_sparse(other.disk().get(), make_disk().get(), (path_ / kDisk).string(), stop);
    sync(kDisk);
  }
  if (other.has_machine()) {
    for (const char* const name : {kMemoryFile, kDevices, kMachine}) {
      if (is_link_made(other.directory_.get(), directory_.get(), name)) continue;
      throw system_error("cannot make " + (path_ / name).string(), errno);
    }
  }
  sync_file(directory_.get(), path_);
}

void WorkspaceState::sync(const char* name) const {
  sync_file(open_at(directory_.get(), name, O_RDONLY | O_NOFOLLOW, 0, path_ / name).get(),
            path_ / name);
}

}  // namespace pyro
