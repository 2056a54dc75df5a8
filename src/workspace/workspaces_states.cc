// The states of workspaces as their clients see them: snapshots, forks, environments, ends.
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "base/subprocess.h"
#include "pyro/source.h"
#include "pyro/workspace.h"
#include "workspace/client.h"
#include "workspace/requests.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

/// The installation of an archive that comes out of a pipe, on a thread of its own.
class ArchiveInstallation {
 public:
  ArchiveInstallation(const StoreOptions& store, Fd archive, NewEnvironment environment,
                      const UserCatalog& catalog, std::optional<ContainerConfig> config,
                      const WorkspaceCall& call)
      : archive_(std::move(archive)),
        on_stop_(call.stop, [this] { stop_.request_stop(); }),
        thread_([this, store, environment = std::move(environment), catalog,
                 config = std::move(config), progress = call.progress] {
          try {
            entry_ = EnvironmentStore(store).add_from(
                archive_.get(), environment, catalog,
                {.progress = progress, .stop = stop_.get_token()}, config);
          } catch (...) {
            failure_ = caught_error();
          }
          archive_.reset();  // who writes into it is to end
        }) {}
  ~ArchiveInstallation() {
    stop();
    if (thread_.joinable()) thread_.join();
  }
  ArchiveInstallation(const ArchiveInstallation&) = delete;
  ArchiveInstallation& operator=(const ArchiveInstallation&) = delete;

  void stop() { stop_.request_stop(); }

  [[nodiscard]] Environment finish() {
    thread_.join();
    if (failure_) throw Error(*failure_);
    return *entry_;
  }
  /// After stop(): unless that is why it failed.
  void rethrow_own_failure() {
    thread_.join();
    if (failure_ && failure_->code() != ErrorCode::interrupted) throw Error(*failure_);
  }

 private:
  Fd archive_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> on_stop_;
  std::optional<Environment> entry_;
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace

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
  require_workspace_name(new_name);
  const WorkspacesDirectory& directory = impl_->directory();
  directory.remove_leftovers();
  const auto made = impl_->make_fork(name, snapshot, call);
  if (directory.publish(made.directory, new_name)) return;
  directory.remove(made.directory);
  throw Error(ErrorCode::usage, "there is a workspace " + new_name + " already");
}

// The archive of the guest goes through a pipe into the installation.
Environment Workspaces::commit(const std::string& name, const NewEnvironment& environment,
                               const UserCatalog& catalog, const WorkspaceCall& call) {
  const WorkspaceDirectory workspace = impl_->directory().require(name);
  const WorkspaceManifest manifest = workspace.manifest();
  NewEnvironment made = environment;
  made.kind = EnvironmentKind::container;
  made.source = EnvironmentSource::parse(kStandardInputUrl);
  made.base = manifest.base ? manifest.base->name : manifest.environment;
  Pipe pipe;
  ArchiveInstallation installation(impl_->store(), std::move(pipe.read), std::move(made), catalog,
                                   workspace.config(), call);
  try {
    impl_->send(name, call, {{request::kKind, request::kArchive}}, {pipe.write.get()});
  } catch (const Error&) {
    installation.stop();
    pipe.write.reset();
    installation.rethrow_own_failure();
    throw;
  }
  pipe.write.reset();  // the end of a whole archive
  return installation.finish();
}

void Workspaces::suspend(const std::string& name, const WorkspaceCall& call) {
  static_cast<void>(impl_->end(impl_->directory().require(name), request::kSuspend, call));
}

void Workspaces::stop(const std::string& name, const WorkspaceCall& call) {
  static_cast<void>(impl_->stop(impl_->directory().require(name), call));
}

}  // namespace pyro
