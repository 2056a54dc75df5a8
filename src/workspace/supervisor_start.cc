// How a supervisor is started: as a process of its own, that goes on when its client ends.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "base/subprocess.h"
#include "workspace/requests.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr int kLinkOfSupervisor = 3;
constexpr int kDirectoryOfSupervisor = 4;
constexpr int kLockOfSupervisor = 5;  ///< Of one that is no existing one.

constexpr const char* kReady = "ready";
constexpr const char* kSettings = "settings";

/// The predecessor may be about to end.
constexpr std::chrono::seconds kLockTimeout{10};

json document_of(const WorkspaceSettings& settings) {
  const MachineOptions& machine = settings.machine;
  return {{"directory", encoded(settings.directory.string())},
          {"name", settings.name},
          {"role", static_cast<int>(settings.role)},
          {"cache_dir", encoded(settings.cache_dir.string())},
          {"monitor", encoded(machine.monitor.string())},
          {"kvm", static_cast<int>(machine.kvm)},
          {"boot_timeout", machine.boot_timeout.count()},
          {"saves_states", machine.saves_states},
          {"state_key", encoded(machine.state_key)},
          {"state_key_file", encoded(machine.state_key_file.string())}};
}

WorkspaceSettings settings_of(const json& document) {
  WorkspaceSettings settings{.directory = decoded(document.at("directory")),
                             .name = document.at("name"),
                             .role = static_cast<WorkspaceRole>(document.at("role").get<int>()),
                             .cache_dir = decoded(document.at("cache_dir"))};
  MachineOptions& machine = settings.machine;
  machine.monitor = decoded(document.at("monitor"));
  machine.kvm = static_cast<KvmUse>(document.at("kvm").get<int>());
  machine.boot_timeout = std::chrono::milliseconds(document.at("boot_timeout").get<std::int64_t>());
  machine.saves_states = document.at("saves_states");
  machine.state_key = decoded(document.at("state_key"));
  machine.state_key_file = decoded(document.at("state_key_file"));
  return settings;
}

/// Leaves the process that started this one, which is not to wait for it.
void become_daemon() {
  if (::fork() != 0) ::_exit(0);
  ::setsid();
  static_cast<void>(!::chdir("/"));  // that of the client may have to be unmounted
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
}

std::optional<FileLock> wait_for_lock(const WorkspaceDirectory& workspace) {
  constexpr std::chrono::milliseconds kInterval{20};
  const auto end = Clock::now() + kLockTimeout;
  while (true) {
    if (auto lock = workspace.try_lock()) return lock;
    // Another one that serves, or one that is ending.
    if (workspace.connect() || Clock::now() > end) return std::nullopt;
    std::this_thread::sleep_for(kInterval);
  }
}

void supervise() {
  auto link = std::make_unique<Link>(Fd(kLinkOfSupervisor));
  const auto packet = link->receive();
  if (!packet) return;
  const WorkspaceSettings settings = settings_of(packet->content.at(kSettings));
  Fd directory(kDirectoryOfSupervisor);
  WorkspaceDirectory workspace(std::move(directory), decoded(packet->content.at("path")));
  const auto lock = settings.role == WorkspaceRole::existing
                        ? wait_for_lock(workspace)
                        : std::optional(FileLock(Fd(kLockOfSupervisor)));
  link->send({{kReady, lock.has_value()}});
  if (lock) serve_workspace(settings, std::move(workspace), std::move(link));
}

}  // namespace

std::unique_ptr<Link> start_supervisor(const std::filesystem::path& executable,
                                       const WorkspaceSettings& settings,
                                       const WorkspaceDirectory& workspace, const FileLock* lock) {
  auto [ours, theirs] = make_link_ends();
  Subprocess process({.program = executable,
                      .arguments = {"pyro", kSupervisorWord, settings.name},
                      .variables = own_variables(),
                      .descriptors = {-1, -1, -1, theirs.get(), workspace.descriptor(),
                                      lock != nullptr ? lock->descriptor() : -1},
                      .group = ProcessStart::Group::in_new_session},
                     "the supervisor of the workspace");
  theirs.reset();
  auto link = std::make_unique<Link>(std::move(ours));
  link->send({{kSettings, document_of(settings)}, {"path", encoded(workspace.path().string())}});
  const auto answer = link->receive();
  static_cast<void>(process.wait());  // its child goes on
  if (!answer || !answer->content.contains(kReady)) {
    throw Error(ErrorCode::failed, "the supervisor of the workspace does not come up");
  }
  return answer->content[kReady] ? std::move(link) : nullptr;
}

int run_workspace_supervisor() noexcept try {
  become_daemon();
  supervise();
  return 0;
} catch (const std::exception&) {
  return 1;
}

}  // namespace pyro
