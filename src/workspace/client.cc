// What a client of workspaces does with supervisors.
#include "workspace/client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

#include "base/errors.h"
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

}  // namespace

// --- a request ---

SupervisorRequest::SupervisorRequest(std::unique_ptr<Link> link, const WorkspaceCall& call)
    : link_(std::move(link)),
      call_(call),
      stop_event_(::eventfd(0, EFD_CLOEXEC)),
      stop_message_([]() -> json {
        return {{"stop", SIGTERM}};
      }),
      on_stop_(call.stop, [this] { ::eventfd_write(stop_event_.get(), 1); }) {}

SupervisorRequest::~SupervisorRequest() {
  if (on_end) on_end();
}

void SupervisorRequest::pass_signals_on(const CommandOptions& command) {
  stop_message_ = [&command]() -> json {
    return {{"stop", command.stop_signal ? command.stop_signal() : SIGINT}};
  };
  signals_ = command.signals;
}

json SupervisorRequest::send(const json& request, const std::vector<int>& descriptors) {
  if (!link_->send(request, descriptors)) throw NoAnswer{};
  while (true) {
    wait();
    auto packet = link_->receive();
    if (!packet && !has_answered_) throw NoAnswer{};
    if (!packet) throw Error(ErrorCode::failed, "the supervisor of the workspace has ended");
    const json& content = packet->content;
    if (content.contains(request::kTryAgain)) throw NoAnswer{};
    has_answered_ = true;
    if (content.contains(request::kAccepted)) continue;
    if (content.contains(request::kError)) throw error_of(content[request::kError]);
    if (content.contains(request::kResult)) return content[request::kResult];
    if (content.contains("process") && on_start) on_start(*packet);
    replay_progress(content, call_.progress);
  }
}

// Until the supervisor says something.
void SupervisorRequest::wait() {
  while (true) {
    std::array<pollfd, 3> ready{
        {{link_->descriptor(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}, {signals_, POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[1].revents != 0) {
      eventfd_t events = 0;
      ::eventfd_read(stop_event_.get(), &events);
      link_->send(stop_message_());
    }
    if (ready[2].revents != 0) pass_signal_on();
    if (ready[0].revents != 0) return;
  }
}

void SupervisorRequest::pass_signal_on() {
  unsigned char number = 0;
  const ssize_t got = ::read(signals_, &number, 1);
  if (got == 1) link_->send({{"signal", number}});
  if (got == 0) signals_ = -1;
}

// --- supervisors ---

WorkspaceClient::WorkspaceClient(fs::path directory, StoreOptions store, MachineOptions machine)
    : directory_(std::move(directory)), store_(std::move(store)), machine_(std::move(machine)) {
  if (!directory_.path().empty()) return;
  throw Error(ErrorCode::failed,
              "there is no directory for workspaces: set HOME or XDG_STATE_HOME");
}

json WorkspaceClient::send(const std::string& name, const WorkspaceCall& call, const json& request,
                           const std::vector<int>& descriptors,
                           const std::function<void(SupervisorRequest&)>& prepare) const {
  for (const auto end = Clock::now() + kEndTimeout;;) {
    try {
      SupervisorRequest sent(connect(name), call);
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

json WorkspaceClient::send_first(const std::string& name, WorkspaceRole role,
                                 const WorkspacesDirectory::New& made, const WorkspaceCall& call,
                                 const json& request) const try {
  SupervisorRequest sent(
      start_supervisor(executable(), settings(name, role), made.directory, &made.lock), call);
  return sent.send(request);
} catch (const NoAnswer&) {
  throw Error(ErrorCode::failed, "the supervisor of the workspace has ended");
}

FileLock WorkspaceClient::end(const WorkspaceDirectory& workspace, const char* kind,
                              const WorkspaceCall& call) const {
  if (Fd socket = workspace.connect()) {
    try {
      SupervisorRequest request(std::make_unique<Link>(std::move(socket)), call);
      static_cast<void>(request.send({{request::kKind, kind}}));
      // What comes then is its end.
      static_cast<void>(request.link().receive());
    } catch (const NoAnswer&) {  // NOLINT(bugprone-empty-catch): it has ended.
    }
  }
  return workspace.lock();
}

FileLock WorkspaceClient::stop(const WorkspaceDirectory& workspace,
                               const WorkspaceCall& call) const {
  FileLock lock = end(workspace, request::kStop, call);
  workspace.state(workspace.manifest().current).forget_machine();
  end_all_records(workspace.descriptor());
  return lock;
}

WorkspacesDirectory::New WorkspaceClient::make_fork(const std::string& name,
                                                    const std::string& snapshot,
                                                    const WorkspaceCall& call) const {
  auto made = directory_.make_new();
  try {
    send(name, call,
         {{request::kKind, request::kFork},
          {"snapshot", snapshot},
          {"path", encoded(made.directory.path().string())}},
         {made.directory.descriptor()});
  } catch (const Error&) {
    directory_.remove(made.directory);
    throw;
  }
  return made;
}

WorkspaceActivity WorkspaceClient::activity_of(const WorkspaceDirectory& workspace) {
  const auto has_machine = [&] {
    return workspace.state(workspace.manifest().current).has_machine();
  };
  if (has_machine()) return WorkspaceActivity::suspended;
  // Who has the lock and no socket is about to suspend it.
  if (workspace.connect() || !workspace.try_lock()) return WorkspaceActivity::running;
  return has_machine() ? WorkspaceActivity::suspended : WorkspaceActivity::stopped;
}

WorkspaceSettings WorkspaceClient::settings(const std::string& name, WorkspaceRole role) const {
  return {.directory = fs::absolute(directory_.path()),
          .name = name,
          .role = role,
          .cache_dir = fs::absolute(store_.cache_dir),
          .machine = machine_};
}

fs::path WorkspaceClient::executable() const {
  return store_.extractor.empty() ? fs::path(PYRO_INSTALLED_EXECUTABLE) : store_.extractor;
}

std::unique_ptr<Link> WorkspaceClient::connect(const std::string& name) const {
  const WorkspaceDirectory workspace = directory_.require(name);
  for (int tries = 1;; ++tries) {
    if (Fd socket = workspace.connect()) return std::make_unique<Link>(std::move(socket));
    auto link = start_supervisor(executable(), settings(name, WorkspaceRole::existing), workspace);
    if (link) return link;
    if (tries == kMostTries) {
      throw Error(ErrorCode::busy, "another process has the workspace " + name);
    }
  }
}

}  // namespace pyro
