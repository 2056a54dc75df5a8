// What a client of workspaces does with supervisors: it finds or starts the one of a workspace, and
// sends it a request.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "pyro/environment_store.h"
#include "pyro/machine.h"
#include "pyro/workspace.h"
#include "workspace/directory.h"
#include "workspace/link.h"
#include "workspace/live_workspace.h"

namespace pyro {

/// The supervisor ended before it said anything.
struct NoAnswer {};

/// One request: sent, and followed until its result.
class SupervisorRequest {
 public:
  SupervisorRequest(std::unique_ptr<Link> link, const WorkspaceCall& call);
  ~SupervisorRequest();
  SupervisorRequest(const SupervisorRequest&) = delete;
  SupervisorRequest& operator=(const SupervisorRequest&) = delete;

  /// @throws Error of the supervisor; NoAnswer
  nlohmann::json send(const nlohmann::json& request, const std::vector<int>& descriptors = {});

  [[nodiscard]] Link& link() noexcept { return *link_; }
  /// Stop requests and signals of `command` go to the command that it runs.
  void pass_signals_on(const CommandOptions& command);

  std::function<void(Packet& packet)> on_start = {};  ///< The command runs.
  std::function<void()> on_end = {};                  ///< Before the link is closed.

 private:
  void wait();
  void pass_signal_on();

  const std::unique_ptr<Link> link_;
  const WorkspaceCall& call_;
  const Fd stop_event_;
  bool has_answered_ = false;
  std::function<nlohmann::json()> stop_message_;
  int signals_ = -1;
  std::stop_callback<std::function<void()>> on_stop_;
};

/// Thread-safe.
class WorkspaceClient {
 public:
  /// @throws Error(failed) for an empty directory
  WorkspaceClient(std::filesystem::path directory, StoreOptions store, MachineOptions machine);

  [[nodiscard]] const WorkspacesDirectory& directory() const noexcept { return directory_; }
  [[nodiscard]] const StoreOptions& store() const noexcept { return store_; }
  [[nodiscard]] const MachineOptions& machine() const noexcept { return machine_; }

  /// Sends a request to the supervisor, which is started if needed. `prepare` may say more of it.
  nlohmann::json send(const std::string& name, const WorkspaceCall& call,
                      const nlohmann::json& request, const std::vector<int>& descriptors = {},
                      const std::function<void(SupervisorRequest&)>& prepare = {}) const;
  /// Sends the first request to the supervisor of one that is no existing one.
  nlohmann::json send_first(const std::string& name, WorkspaceRole role,
                            const WorkspacesDirectory::New& made, const WorkspaceCall& call,
                            const nlohmann::json& request) const;

  /// Asks the supervisor, if there is one, to end in the way that `kind` says, and waits for that.
  /// @return the lock of the workspace
  FileLock end(const WorkspaceDirectory& workspace, const char* kind,
               const WorkspaceCall& call) const;
  /// The same; from then on the machine starts from its disk.
  FileLock stop(const WorkspaceDirectory& workspace, const WorkspaceCall& call) const;

  /// A workspace without a name yet.
  WorkspacesDirectory::New make_fork(const std::string& name, const std::string& snapshot,
                                     const WorkspaceCall& call) const;

  [[nodiscard]] static WorkspaceActivity activity_of(const WorkspaceDirectory& workspace);

 private:
  [[nodiscard]] WorkspaceSettings settings(const std::string& name, WorkspaceRole role) const;
  [[nodiscard]] std::filesystem::path executable() const;
  [[nodiscard]] std::unique_ptr<Link> connect(const std::string& name) const;

  const WorkspacesDirectory directory_;
  const StoreOptions store_;
  const MachineOptions machine_;
};

class Workspaces::Impl : public WorkspaceClient {
 public:
  using WorkspaceClient::WorkspaceClient;
};

}  // namespace pyro
