// Workspaces as their clients see them: as wholes, and their processes.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "base/text.h"
#include "machine/launch.h"
#include "pyro/workspace.h"
#include "workspace/attachment.h"
#include "workspace/client.h"
#include "workspace/process_log.h"
#include "workspace/requests.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

WorkspaceStatus status_of(const std::string& name, const WorkspaceDirectory& workspace) {
  const WorkspaceManifest manifest = workspace.manifest();
  const WorkspaceActivity activity = WorkspaceClient::activity_of(workspace);
  const auto processes =
      read_processes(workspace.descriptor(), activity != WorkspaceActivity::stopped);
  return {.name = name,
          .environment = manifest.environment,
          .version = manifest.version,
          .activity = activity,
          .cpus = manifest.cpus,
          .memory_mib = manifest.memory_mib,
          .disk_mib = manifest.disk_mib,
          .network = manifest.network,
          .idle = manifest.idle,
          .idle_with_processes = manifest.idle_with_processes,
          .created = manifest.created,
          .last_used = workspace.last_use(),
          .expires = manifest.expires(),
          .has_changes = workspace.has_changes(),
          .disk_bytes = workspace.allocated_bytes(),
          .running_processes = static_cast<std::size_t>(std::ranges::count_if(
              processes, [](const WorkspaceProcess& process) { return !process.end; })),
          .snapshots = manifest.snapshots.size()};
}

/// Whether its processes run, or go on with its machine.
bool is_alive(const WorkspaceDirectory& workspace) {
  return WorkspaceClient::activity_of(workspace) != WorkspaceActivity::stopped;
}

/// False for one that has not expired, or has changes.
bool remove_if_expired(const WorkspaceClient& client, const std::string& name) {
  const auto workspace = client.directory().find(name);
  if (!workspace) return false;
  const WorkspaceManifest manifest = workspace->manifest();
  const auto expires = manifest.expires();
  if (!expires || std::chrono::system_clock::now() < *expires) return false;
  const auto is_to_go = [&] { return manifest.discard || !workspace->has_changes(); };
  if (!is_to_go()) return false;
  const FileLock lock = client.stop(*workspace, {});
  if (!is_to_go()) return false;
  client.directory().remove(*workspace);
  return true;
}

std::shared_ptr<void> hold_for(const CommandOptions& command) {
  return command.before_command ? command.before_command() : nullptr;
}

}  // namespace

std::string_view to_string(WorkspaceActivity activity) noexcept {
  switch (activity) {
    case WorkspaceActivity::stopped:
      return "stopped";
    case WorkspaceActivity::suspended:
      return "suspended";
    case WorkspaceActivity::running:
      return "running";
  }
  return "stopped";
}

fs::path find_workspaces_directory() {
  const fs::path key = find_state_key_file();
  return key.empty() ? fs::path() : key.parent_path() / "workspaces";
}

fs::path find_workspaces_directory(
    const std::function<std::optional<std::string>(const char* name)>& variables) {
  const fs::path key = find_state_key_file(variables);
  return key.empty() ? fs::path() : key.parent_path() / "workspaces";
}

Workspaces::Workspaces(fs::path directory, StoreOptions store, MachineOptions machine)
    : impl_(std::make_shared<Impl>(std::move(directory), std::move(store), std::move(machine))) {}

// --- as wholes ---

CreatedWorkspace Workspaces::create(const std::string& name, const NewWorkspace& options,
                                    const WorkspaceCall& call) {
  const WorkspacesDirectory& directory = impl_->directory();
  directory.remove_leftovers();
  if (directory.find(name)) return {};
  MachineOptions machine = impl_->machine();
  machine.cpus = options.cpus;
  machine.memory_mib = options.memory_mib;
  machine.disk_mib = options.disk_mib;
  machine.network = options.network;
  EnvironmentStore store(impl_->store());
  Launcher launcher(store, options.environment, machine, call.progress, call.stop);
  const InstallLease lease = launcher.acquire_lease();
  const Environment& environment = launcher.environment();
  const WorkspaceManifest manifest{.environment = environment.name,
                                   .version = environment.version,
                                   .kind = environment.kind,
                                   .base = lease.base,
                                   .cpus = options.cpus,
                                   .memory_mib = options.memory_mib,
                                   .disk_mib = options.disk_mib,
                                   .network = options.network,
                                   .idle = options.idle,
                                   .idle_with_processes = options.idle_with_processes,
                                   .ttl = options.ttl,
                                   .discard = options.discard,
                                   .created = std::chrono::system_clock::now()};
  const auto made = directory.make_new();
  made.directory.fill(manifest, lease, call.stop);
  const std::string from = options.from.empty() ? "" : fs::absolute(options.from).string();
  return created_of(impl_->send_first(name, WorkspaceRole::beginning, made, call,
                                      {{request::kKind, request::kCreate},
                                       {"from", encoded(from)},
                                       {"all_files", options.all_files}}));
}

std::vector<WorkspaceStatus> Workspaces::list(ProgressListener* progress) const {
  std::vector<WorkspaceStatus> found;
  for (const std::string& name : impl_->directory().names()) {
    try {
      if (const auto workspace = impl_->directory().find(name)) {
        found.push_back(status_of(name, *workspace));
      }
    } catch (const Error& error) {
      if (progress != nullptr) progress->warning(error.what());
    }
  }
  return found;
}

WorkspaceStatus Workspaces::status(const std::string& name) const {
  return status_of(name, impl_->directory().require(name));
}

std::vector<std::string> Workspaces::remove_expired() {
  std::vector<std::string> removed;
  for (const std::string& name : impl_->directory().names()) {
    try {
      if (remove_if_expired(*impl_, name)) removed.push_back(name);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it is in use, or cannot be read.
    }
  }
  return removed;
}

void Workspaces::rename(const std::string& name, const std::string& new_name) {
  require_workspace_name(new_name);
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  if (WorkspaceClient::activity_of(workspace) == WorkspaceActivity::running) {
    throw Error(ErrorCode::busy, "the workspace " + name + " is running",
                "'pyro workspace suspend " + name + "' saves it");
  }
  const FileLock lock = workspace.lock();
  if (impl_->directory().rename(workspace, new_name)) return;
  throw Error(ErrorCode::usage, "there is a workspace " + new_name + " already");
}

void Workspaces::remove(const std::string& name, bool force) {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  const WorkspaceStatus status = status_of(name, workspace);
  if (status.running_processes > 0 && !force) {
    throw Error(ErrorCode::busy,
                fmt::format("{} processes run in the workspace {}", status.running_processes, name),
                "'--force' ends them");
  }
  const FileLock lock = impl_->stop(workspace, {});
  impl_->directory().remove(workspace);
}

// --- processes ---

CommandReport Workspaces::run(const std::string& name, const CommandOptions& command,
                              const WorkspaceCall& call) {
  std::shared_ptr<void> held;
  const json report = impl_->send(name, call, request_of(command, false), descriptors_of(command),
                                  [&](SupervisorRequest& request) {
                                    request.on_start = [&](Packet&) { held = hold_for(command); };
                                    request.pass_signals_on(command);
                                  });
  return report_of(report);
}

std::optional<CommandReport> Workspaces::attach(const std::string& name, unsigned process,
                                                const CommandOptions& command,
                                                const WorkspaceCall& call) {
  CommandOptions streams = command;
  streams.input = -1;  // This process passes it on.
  std::shared_ptr<void> held;
  std::unique_ptr<AttachedInput> input;
  const json report =
      impl_->send(name, call, request_of(process, streams), descriptors_of(streams),
                  [&](SupervisorRequest& request) {
                    request.on_start = [&](Packet& packet) {
                      held = hold_for(command);
                      if (command.input < 0 || packet.descriptors.empty()) return;
                      Link& link = request.link();
                      input = std::make_unique<AttachedInput>(
                          command.input, std::move(packet.descriptors.front()), command.terminal,
                          [&link] {
                            link.send({{"input_ended", true}});
                          },
                          [&link] {
                            link.send({{"detach", true}});
                          });
                    };
                    request.on_end = [&] { input.reset(); };
                    request.pass_signals_on(command);
                  });
  if (report.is_null()) return std::nullopt;
  return report_of(report);
}

unsigned Workspaces::spawn(const std::string& name, const CommandOptions& command,
                           const WorkspaceCall& call) {
  return impl_->send(name, call, request_of(command, true));
}

std::vector<WorkspaceProcess> Workspaces::processes(const std::string& name) const {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  return read_processes(workspace.descriptor(), is_alive(workspace));
}

ProcessOutput Workspaces::output(const std::string& name, unsigned process, bool is_error,
                                 std::uint64_t offset) const {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  return read_output(workspace.descriptor(), process, is_error, offset, is_alive(workspace));
}

void Workspaces::signal(const std::string& name, unsigned process, int signal) {
  const auto known = processes(name);
  const auto found = std::ranges::find(known, process, &WorkspaceProcess::number);
  if (found == known.end()) {
    throw Error(ErrorCode::not_found, fmt::format("there is no process {}", process),
                "'pyro workspace ps " + name + "' lists them");
  }
  if (found->end) return;
  impl_->send(name, {},
              {{request::kKind, request::kSignal}, {"process", process}, {"signal", signal}});
}

std::uint16_t Workspaces::publish(const std::string& name, const PortOptions& port) {
  return impl_->send(name, {}, request_of(port));
}

}  // namespace pyro
