// Workspaces as their clients see them.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "base/output_file.h"
#include "base/text.h"
#include "machine/launch.h"
#include "pyro/workspace.h"
#include "workspace/directory.h"
#include "workspace/process_log.h"
#include "workspace/requests.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// How often a supervisor may end before it is asked.
constexpr int kMostTries = 5;
/// How long one may take to end. A machine is saved meanwhile.
constexpr std::chrono::seconds kEndTimeout{60};
constexpr std::chrono::milliseconds kBetweenTries{50};

/// Below kWorkspaceDirectory, if it is relative.
std::string path_in_guest(const std::string& path) {
  return path.starts_with('/') ? path : std::string(kWorkspaceDirectory) + '/' + path;
}

/// Relative to kWorkspaceDirectory: "src/main.c" for that and for "/workspace/./src/main.c"; empty
/// for all of it.
/// @throws Error(usage) for a path elsewhere
std::string path_below_workspace(const std::string& path) {
  const fs::path below =
      fs::path(path_in_guest(path)).lexically_normal().lexically_relative(kWorkspaceDirectory);
  if (below.empty() || *below.begin() == "..") {
    throw Error(ErrorCode::usage, in_quotes(path) + " is not in " + kWorkspaceDirectory);
  }
  const std::string text = below.string();
  return text == "." ? "" : text.substr(0, text.find_last_not_of('/') + 1);
}

Fd open_here() {
  return open_at(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0, ".");
}

/// The supervisor ended before it said anything.
struct NoAnswer {};

/// One request: sent, and followed until its result.
class Request {
 public:
  Request(std::unique_ptr<Link> link, const WorkspaceCall& call)
      : link_(std::move(link)),
        call_(call),
        stop_event_(::eventfd(0, EFD_CLOEXEC)),
        on_stop_(call.stop, [this] { ::eventfd_write(stop_event_.get(), 1); }) {}

  /// @throws Error of the supervisor; NoAnswer
  json send(const json& request, const std::vector<int>& descriptors = {}) {
    if (!link_->send(request, descriptors)) throw NoAnswer{};
    while (true) {
      wait();
      const auto packet = link_->receive();
      if (!packet && !has_answered_) throw NoAnswer{};
      if (!packet) throw Error(ErrorCode::failed, "the supervisor of the workspace has ended");
      const json& content = packet->content;
      if (content.contains(request::kTryAgain)) throw NoAnswer{};
      has_answered_ = true;
      if (content.contains(request::kAccepted)) continue;
      if (content.contains(request::kError)) throw error_of(content[request::kError]);
      if (content.contains(request::kResult)) return content[request::kResult];
      if (content.contains("process") && on_start) on_start();
      replay_progress(content, call_.progress);
    }
  }

  Link& link() noexcept { return *link_; }

  std::function<void()> on_start = {};  ///< The command has started.
  /// A stop was requested. By default it ends the request.
  std::function<void()> on_stop = [this] { link_->send({{"stop", SIGTERM}}); };
  int signals = -1;  ///< As in CommandOptions.

 private:
  /// Until the supervisor says something.
  void wait() {
    while (true) {
      std::array<pollfd, 3> ready{
          {{link_->descriptor(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}, {signals, POLLIN, 0}}};
      if (::poll(ready.data(), ready.size(), -1) < 0) continue;
      if (ready[1].revents != 0) {
        eventfd_t events = 0;
        ::eventfd_read(stop_event_.get(), &events);
        on_stop();
      }
      if (ready[2].revents != 0) pass_signal_on();
      if (ready[0].revents != 0) return;
    }
  }

  void pass_signal_on() {
    unsigned char number = 0;
    const ssize_t got = ::read(signals, &number, 1);
    if (got == 1) link_->send({{"signal", number}});
    if (got == 0) signals = -1;
  }

  const std::unique_ptr<Link> link_;
  const WorkspaceCall& call_;
  const Fd stop_event_;
  bool has_answered_ = false;
  std::stop_callback<std::function<void()>> on_stop_;
};

}  // namespace

class Workspaces::Impl {
 public:
  Impl(fs::path directory, StoreOptions store, MachineOptions machine)
      : directory_(std::move(directory)), store_(std::move(store)), machine_(std::move(machine)) {
    if (directory_.path().empty()) {
      throw Error(ErrorCode::failed,
                  "there is no directory for workspaces: set HOME or "
                  "XDG_STATE_HOME");
    }
  }

  [[nodiscard]] const WorkspacesDirectory& directory() const noexcept { return directory_; }

  CreatedWorkspace create(const std::string& name, const NewWorkspace& options,
                          const WorkspaceCall& call) const {
    directory_.remove_leftovers();
    if (directory_.find(name)) return {};
    MachineOptions machine = machine_;
    machine.cpus = options.cpus;
    machine.memory_mib = options.memory_mib;
    machine.disk_mib = options.disk_mib;
    machine.network = options.network;
    EnvironmentStore store(store_);
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
                                     .created = std::chrono::system_clock::now()};
    const auto made = directory_.make_new();
    try {
      made.directory.fill(manifest, lease, call.stop);
      Request request(
          start_supervisor(executable(), settings(name, true), made.directory, &made.lock), call);
      const std::string from = options.from.empty() ? "" : fs::absolute(options.from).string();
      return created_of(request.send({{request::kKind, request::kCreate},
                                      {"from", encoded(from)},
                                      {"all_files", options.all_files}}));
    } catch (const NoAnswer&) {
      throw Error(ErrorCode::failed, "the supervisor of the workspace has ended");
    }
  }

  /// Sends a request to the supervisor, which is started if needed. `prepare` may say more of it.
  json send(const std::string& name, const WorkspaceCall& call, const json& request,
            const std::vector<int>& descriptors = {},
            const std::function<void(Request&)>& prepare = {}) const {
    for (const auto end = Clock::now() + kEndTimeout;;) {
      try {
        Request sent(connect(name), call);
        if (prepare) prepare(sent);
        return sent.send(request, descriptors);
      } catch (const NoAnswer&) {
        if (Clock::now() > end) {
          throw Error(ErrorCode::failed, "the supervisor of the workspace does not answer");
        }
        std::this_thread::sleep_for(kBetweenTries);
      }
    }
  }

  /// `on_host`: the side of the copy that may be a descriptor of this process (/dev/stdout).
  json copy(const std::string& name, const char* kind, const Copy& copy, const std::string& on_host,
            const WorkspaceCall& call) const {
    const Fd here = open_here();
    const Fd stream = duplicate_own_descriptor(on_host);
    std::vector<int> descriptors{here.get()};
    if (stream) descriptors.push_back(stream.get());
    return send(name, call, request_of(kind, copy, static_cast<bool>(stream)), descriptors);
  }

  [[nodiscard]] WorkspaceStatus status(const std::string& name,
                                       const WorkspaceDirectory& workspace) const {
    const WorkspaceManifest manifest = workspace.manifest();
    const WorkspaceActivity activity = activity_of(workspace, manifest);
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
            .created = manifest.created,
            .last_used = workspace.last_use(),
            .disk_bytes = workspace.allocated_bytes(),
            .running_processes = static_cast<std::size_t>(std::ranges::count_if(
                processes, [](const WorkspaceProcess& process) { return !process.end; })),
            .snapshots = manifest.snapshots.size()};
  }

  /// Whether its processes run, or go on with its machine.
  [[nodiscard]] static bool is_alive(const WorkspaceDirectory& workspace) {
    return activity_of(workspace, workspace.manifest()) != WorkspaceActivity::stopped;
  }

  /// Asks the supervisor, if there is one, to end in the way that `kind` says, and waits for that.
  /// @return the lock of the workspace
  FileLock end(const WorkspaceDirectory& workspace, const char* kind,
               const WorkspaceCall& call) const {
    if (Fd socket = workspace.connect()) {
      try {
        Request request(std::make_unique<Link>(std::move(socket)), call);
        static_cast<void>(request.send({{request::kKind, kind}}));
        // What comes then is its end.
        static_cast<void>(request.link().receive());
      } catch (const NoAnswer&) {  // NOLINT(bugprone-empty-catch): it has ended.
      }
    }
    return workspace.lock();
  }

  /// From then on the machine starts from its disk.
  FileLock stop(const WorkspaceDirectory& workspace, const WorkspaceCall& call) const {
    FileLock lock = end(workspace, request::kStop, call);
    workspace.state(workspace.manifest().current).forget_machine();
    end_all_records(workspace.descriptor());
    return lock;
  }

  void fork(const std::string& name, const std::string& snapshot, const std::string& new_name,
            const WorkspaceCall& call) const {
    require_workspace_name(new_name);
    directory_.remove_leftovers();
    const auto made = directory_.make_new();
    bool is_new = false;
    try {
      send(name, call,
           {{request::kKind, request::kFork},
            {"snapshot", snapshot},
            {"path", encoded(made.directory.path().string())}},
           {made.directory.descriptor()});
      is_new = directory_.publish(made.directory, new_name);
    } catch (const Error&) {
      directory_.remove(made.directory);
      throw;
    }
    if (is_new) return;
    directory_.remove(made.directory);
    throw Error(ErrorCode::usage, "there is a workspace " + new_name + " already");
  }

 private:
  [[nodiscard]] static WorkspaceActivity activity_of(const WorkspaceDirectory& workspace,
                                                     const WorkspaceManifest& manifest) {
    if (workspace.state(manifest.current).has_machine()) return WorkspaceActivity::suspended;
    return workspace.connect() ? WorkspaceActivity::running : WorkspaceActivity::stopped;
  }

  [[nodiscard]] WorkspaceSettings settings(const std::string& name, bool is_new) const {
    return {.directory = fs::absolute(directory_.path()),
            .name = name,
            .is_new = is_new,
            .cache_dir = fs::absolute(store_.cache_dir),
            .machine = machine_};
  }

  [[nodiscard]] fs::path executable() const {
    return store_.extractor.empty() ? fs::path(PYRO_INSTALLED_EXECUTABLE) : store_.extractor;
  }

  [[nodiscard]] std::unique_ptr<Link> connect(const std::string& name) const {
    const WorkspaceDirectory workspace = directory_.require(name);
    for (int tries = 1;; ++tries) {
      if (Fd socket = workspace.connect()) return std::make_unique<Link>(std::move(socket));
      if (auto link = start_supervisor(executable(), settings(name, false), workspace)) return link;
      if (tries == kMostTries) {
        throw Error(ErrorCode::busy, "another process has the workspace " + name);
      }
    }
  }

  const WorkspacesDirectory directory_;
  const StoreOptions store_;
  const MachineOptions machine_;
};

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

CreatedWorkspace Workspaces::create(const std::string& name, const NewWorkspace& options,
                                    const WorkspaceCall& call) {
  return impl_->create(name, options, call);
}

std::vector<WorkspaceStatus> Workspaces::list(ProgressListener* progress) const {
  std::vector<WorkspaceStatus> found;
  for (const std::string& name : impl_->directory().names()) {
    try {
      if (const auto workspace = impl_->directory().find(name)) {
        found.push_back(impl_->status(name, *workspace));
      }
    } catch (const Error& error) {
      if (progress != nullptr) progress->warning(error.what());
    }
  }
  return found;
}

WorkspaceStatus Workspaces::status(const std::string& name) const {
  return impl_->status(name, impl_->directory().require(name));
}

void Workspaces::rename(const std::string& name, const std::string& new_name) {
  require_workspace_name(new_name);
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  if (impl_->status(name, workspace).activity == WorkspaceActivity::running) {
    throw Error(ErrorCode::busy, "the workspace " + name + " is running",
                "'pyro workspace suspend " + name + "' saves it");
  }
  const FileLock lock = workspace.lock();
  if (impl_->directory().rename(workspace, new_name)) return;
  throw Error(ErrorCode::usage, "there is a workspace " + new_name + " already");
}

void Workspaces::remove(const std::string& name, bool force) {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  const WorkspaceStatus status = impl_->status(name, workspace);
  if (status.running_processes > 0 && !force) {
    throw Error(ErrorCode::busy,
                fmt::format("{} processes run in the workspace {}", status.running_processes, name),
                "'--force' ends them");
  }
  const FileLock lock = impl_->stop(workspace, {});
  impl_->directory().remove(workspace);
}

CommandReport Workspaces::run(const std::string& name, const CommandOptions& command,
                              const WorkspaceCall& call) {
  std::shared_ptr<void> held;
  const json report = impl_->send(
      name, call, request_of(command, false), descriptors_of(command), [&](Request& request) {
        request.on_start = [&] { held = command.before_command ? command.before_command() : held; };
        request.on_stop = [&command, &request] {
          request.link().send({{"stop", command.stop_signal ? command.stop_signal() : SIGINT}});
        };
        request.signals = command.signals;
      });
  return report_of(report);
}

unsigned Workspaces::spawn(const std::string& name, const CommandOptions& command,
                           const WorkspaceCall& call) {
  return impl_->send(name, call, request_of(command, true));
}

std::vector<WorkspaceProcess> Workspaces::processes(const std::string& name) const {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  return read_processes(workspace.descriptor(), Impl::is_alive(workspace));
}

ProcessOutput Workspaces::output(const std::string& name, unsigned process, bool is_error,
                                 std::uint64_t offset) const {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  return read_output(workspace.descriptor(), process, is_error, offset, Impl::is_alive(workspace));
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

std::size_t Workspaces::copy_in(const std::string& name, const Copy& copy,
                                const WorkspaceCall& call) {
  return impl_->copy(name, request::kCopyIn, {copy.from, path_in_guest(copy.to)}, copy.from, call);
}

void Workspaces::copy_out(const std::string& name, const Copy& copy, const WorkspaceCall& call) {
  impl_->copy(name, request::kCopyOut, {path_in_guest(copy.from), copy.to}, copy.to, call);
}

void Workspaces::copy_changes(const std::string& name, const std::string& to,
                              const std::vector<std::string>& paths, const WorkspaceCall& call) {
  std::vector<std::string> below;
  for (const std::string& path : paths) below.push_back(path_below_workspace(path));
  impl_->send(name, call, request_of(below, to), {open_here().get()});
}

std::uint16_t Workspaces::publish(const std::string& name, const PortOptions& port) {
  return impl_->send(name, {}, request_of(port));
}

TakenSnapshot Workspaces::snapshot(const std::string& name, const std::string& snapshot,
                                   const WorkspaceCall& call) {
  return taken_of(
      impl_->send(name, call, {{request::kKind, request::kSnapshot}, {"snapshot", snapshot}}));
}

std::vector<WorkspaceSnapshot> Workspaces::snapshots(const std::string& name) const {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  std::vector<WorkspaceSnapshot> found;
  for (const SnapshotRecord& record : workspace.manifest().snapshots) {
    const WorkspaceState state = workspace.state(record.state);
    found.push_back({.name = record.name,
                     .made = record.made,
                     .has_memory = state.has_machine(),
                     .disk_bytes = state.allocated_bytes()});
  }
  return found;
}

void Workspaces::remove_snapshots(const std::string& name,
                                  const std::vector<std::string>& snapshots) {
  impl_->send(name, {}, {{request::kKind, request::kRemoveSnapshots}, {"snapshots", snapshots}});
}

void Workspaces::reset(const std::string& name, const std::string& snapshot,
                       const WorkspaceCall& call) {
  impl_->send(name, call, {{request::kKind, request::kReset}, {"snapshot", snapshot}});
}

void Workspaces::fork(const std::string& name, const std::string& snapshot,
                      const std::string& new_name, const WorkspaceCall& call) {
  impl_->fork(name, snapshot, new_name, call);
}

void Workspaces::suspend(const std::string& name, const WorkspaceCall& call) {
  static_cast<void>(impl_->end(impl_->directory().require(name), request::kSuspend, call));
}

void Workspaces::stop(const std::string& name, const WorkspaceCall& call) {
  static_cast<void>(impl_->stop(impl_->directory().require(name), call));
}

}  // namespace pyro
