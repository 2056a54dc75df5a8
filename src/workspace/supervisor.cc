// The supervisor of a workspace.
#include "workspace/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "base/subprocess.h"
#include "machine/held_machine.h"
#include "workspace/process.h"
#include "workspace/requests.h"
#include "workspace/seed.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr int kLinkOfSupervisor = 3;
constexpr int kDirectoryOfSupervisor = 4;
constexpr int kLockOfSupervisor = 5;  ///< Of a new workspace.

constexpr const char* kReady = "ready";
constexpr const char* kSettings = "settings";

/// The predecessor may be about to end.
constexpr std::chrono::seconds kLockTimeout{10};

json document_of(const WorkspaceSettings& settings) {
  const MachineOptions& machine = settings.machine;
  return {{"directory", encoded(settings.directory.string())},
          {"name", settings.name},
          {"is_new", settings.is_new},
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
                             .is_new = document.at("is_new"),
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

/// A request that is being served. The thread of the connection hears of its client meanwhile.
class Work {
 public:
  explicit Work(const std::function<json(const std::stop_token& stop)>& work)
      : end_event_(::eventfd(0, EFD_CLOEXEC)), thread_([this, work] {
          try {
            result_ = work(stop_.get_token());
          } catch (...) {
            failure_ = caught_error();
          }
          ::eventfd_write(end_event_.get(), 1);
        }) {}
  ~Work() { thread_.join(); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  [[nodiscard]] int end_event() const noexcept { return end_event_.get(); }
  void stop() { stop_.request_stop(); }
  /// After its end.
  [[nodiscard]] json result() const {
    if (failure_) throw Error(*failure_);
    return result_;
  }

 private:
  std::stop_source stop_;
  const Fd end_event_;
  json result_;
  std::optional<Error> failure_;
  std::thread thread_;
};

class Supervisor {
 public:
  Supervisor(WorkspaceSettings settings, WorkspaceDirectory workspace)
      : is_made_(!settings.is_new),
        workspaces_(settings.directory),
        workspace_(std::move(settings), std::move(workspace)),
        listener_(workspace_.directory().listen()),
        wake_up_(::eventfd(0, EFD_CLOEXEC)),
        signals_(signals_to_stop()) {}

  /// Serves `first` and all that connect, until the workspace has nothing to do.
  void run(std::unique_ptr<Link> first) {
    serve(std::move(first));
    while (!is_ending()) wait();
    is_ending_ = true;
    listener_.reset();
    end_machine();
    join_connections(true);
  }

 private:
  struct Connection {
    std::unique_ptr<Link> link = {};
    std::atomic<bool> has_ended = false;
    std::thread thread = {};
  };

  static Fd signals_to_stop() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT}) ::sigaddset(&signals, number);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return Fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  }

  void wait() {
    std::array<pollfd, 3> ready{
        {{listener_.get(), POLLIN, 0}, {wake_up_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    ::poll(ready.data(), ready.size(), poll_timeout(idle_end()));
    eventfd_t events = 0;
    if (ready[1].revents != 0) ::eventfd_read(wake_up_.get(), &events);
    if (ready[2].revents != 0) is_ending_ = true;
    if (ready[0].revents != 0) {
      Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket) serve(std::make_unique<Link>(std::move(socket)));
    }
    join_connections(false);
  }

  // --- when to end ---

  /// Nothing while there is something to do. Without a machine there is not for long.
  [[nodiscard]] Deadline idle_end() {
    constexpr std::chrono::seconds kWithoutMachine{2};
    const bool is_busy = workspace_.is_running_a_command();
    const auto idle = workspace_.has_machine() ? workspace_.idle() : kWithoutMachine;
    const std::lock_guard lock(mutex_);
    if (requests_ > 0 || is_busy || idle.count() == 0) return std::nullopt;
    return last_busy_ + idle;
  }

  [[nodiscard]] bool is_ending() {
    const Deadline end = idle_end();
    return is_ending_ || (end && Clock::now() >= *end);
  }

  // What is not asked to stop is suspended, where there is room.
  void end_machine() {
    if (!is_made_) return discard();
    try {
      if (!is_stopping_) return workspace_.suspend();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it is stopped.
    }
    workspace_.stop();
  }

  // --- connections ---

  void serve(std::unique_ptr<Link> link) {
    Connection& connection = connections_.emplace_back();
    connection.link = std::move(link);
    connection.thread = std::thread([this, &connection] {
      answer(*connection.link);
      connection.has_ended = true;
      ::eventfd_write(wake_up_.get(), 1);
    });
  }

  void join_connections(bool all) {
    connections_.remove_if([&](Connection& connection) {
      if (!all && (!connection.has_ended || is_ending_)) return false;
      connection.thread.join();
      return true;
    });
  }

  void begin_request() {
    workspace_.directory().note_use();
    const std::lock_guard lock(mutex_);
    ++requests_;
  }

  void end_request() {
    workspace_.directory().note_use();
    const std::lock_guard lock(mutex_);
    --requests_;
    last_busy_ = Clock::now();
  }

  // The client hears of the end of this process by the end of its connection.
  json end(bool stops) {
    if (!stops) suspend();
    is_stopping_ = stops;
    is_ending_ = true;
    ::eventfd_write(wake_up_.get(), 1);
    return {};
  }

  // Who asks for something meanwhile is to ask the next supervisor.
  void suspend() {
    is_suspending_ = true;
    try {
      workspace_.suspend();
    } catch (const Error&) {
      is_suspending_ = false;
      throw;
    }
  }

  void answer(Link& link) {
    auto packet = link.receive();
    if (!packet) return;  // who looks whether there is a supervisor
    begin_request();
    try {
      const bool is_closed = is_ending_ || is_suspending_;
      if (is_closed && packet->content.value(request::kKind, "") != request::kStop) {
        link.send({{request::kTryAgain, true}});
      } else {
        link.send({{request::kAccepted, true}});
        link.send({{request::kResult, serve(link, *packet)}});
      }
    } catch (...) {
      link.send({{request::kError, pyro::document_of(caught_error())}});
    }
    end_request();
  }

  json serve(Link& link, Packet& packet) {
    const std::string kind = packet.content.at(request::kKind);
    if (kind == request::kRun) return run_command(link, packet);
    if (kind == request::kStop) return end(true);
    if (kind == request::kSuspend) return end(false);
    if (const auto answer = change_states(kind, packet)) return *answer;
    return work(link, [&](const std::stop_token& stop) -> json {
      LinkedProgress progress(link);
      if (kind == request::kCreate) return create(packet.content, progress, stop);
      const auto machine = workspace_.machine(progress, stop);
      if (kind == request::kPublish) return machine->publish(port_of(packet.content));
      act_as_client(packet);
      const CopyOptions options{.progress = &progress, .stop = stop};
      if (kind == request::kCopyChanges) {
        machine->copy_changes(decoded(packet.content.at("to")), paths_of(packet.content), options);
        return {};
      }
      const Copy copy = copy_of(packet);
      if (kind == request::kCopyIn) return machine->copy_in(copy, options);
      if (kind == request::kCopyOut) return machine->copy_out(copy, options), json();
      throw Error(ErrorCode::usage, "this supervisor does not know the request " + kind);
    });
  }

  /// Until it is done, or its client is gone.
  static json work(Link& link, const std::function<json(const std::stop_token& stop)>& work) {
    Work going_on(work);
    while (!wait_for_either(link.descriptor(), going_on.end_event())) {
      if (link.receive()) {  // a request to stop
        going_on.stop();
        continue;
      }
      going_on.stop();
      static_cast<void>(wait_to_read(going_on.end_event(), std::nullopt));
    }
    return going_on.result();
  }

  /// Whether `end` is readable; false when only the client has something to say.
  static bool wait_for_either(int client, int end) {
    std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {end, POLLIN, 0}}};
    uninterrupted([&] { return ::poll(ready.data(), ready.size(), -1); });
    return ready[1].revents != 0;
  }

  /// The thread sees paths and makes files as the client does.
  static void act_as_client(const Packet& packet) {
    if (packet.descriptors.empty()) return;
    ::unshare(CLONE_FS);
    ::umask(packet.content.value("umask", 077U));
    static_cast<void>(!::fchdir(packet.descriptors.front().get()));
  }

  /// Nothing for another request.
  std::optional<json> change_states(const std::string& kind, const Packet& packet) {
    const json& content = packet.content;
    if (kind == request::kSignal) {
      workspace_.signal(content.at("process"), content.at("signal"));
      return json();
    }
    if (kind == request::kSnapshot) {
      return pyro::document_of(workspace_.take_snapshot(content.at("snapshot")));
    }
    if (kind == request::kRemoveSnapshots) {
      workspace_.remove_snapshots(content.at("snapshots"));
      return json();
    }
    if (kind == request::kReset) {
      workspace_.reset(content.at("snapshot"));
      return json();
    }
    if (kind != request::kFork) return std::nullopt;
    if (packet.descriptors.empty()) throw Error(ErrorCode::usage, "there is no directory");
    workspace_.fork_to({duplicate(packet.descriptors.front().get()), decoded(content.at("path"))},
                       content.at("snapshot"));
    return json();
  }

  json create(const json& content, ProgressListener& progress, const std::stop_token& stop) {
    CreatedWorkspace created;
    try {
      created.is_new = workspace_.create(decoded(content.at("from")), content.at("all_files"),
                                         created, progress, stop);
    } catch (const Error&) {
      discard();
      throw;
    }
    is_made_ = created.is_new;
    if (!created.is_new) discard();
    return pyro::document_of(created);
  }

  /// What was to become a workspace, also when its client was killed before it asked for that.
  void discard() {
    is_ending_ = true;
    try {
      workspaces_.remove(workspace_.directory());
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next command removes it.
    }
  }

  // --- commands ---

  json run_command(Link& link, Packet& packet) {
    LinkedProgress progress(link);
    std::shared_ptr<HeldMachine> machine;
    work(link, [&](const std::stop_token& stop) -> json {
      machine = workspace_.machine(progress, stop);
      return {};
    });
    CommandOptions command = command_of(packet.content);
    if (!command.directory.starts_with('/')) {
      command.directory = std::string(kWorkspaceDirectory) +
                          (command.directory.empty() ? "" : '/' + command.directory);
    }
    const bool is_detached = packet.content.at("detached");
    const auto process =
        workspace_.start_command(std::move(machine), std::move(command), streams_of(packet));
    if (is_detached) return process->number();
    link.send({{"process", process->number()}});
    while (!wait_for_either(link.descriptor(), process->end_event())) {
      const auto said = link.receive();
      if (!said) {
        process->release_client();
        return {};
      }
      const json& content = said->content;
      if (content.contains("signal")) process->signal(content["signal"]);
      if (content.contains("stop")) process->stop(content["stop"]);
    }
    return pyro::document_of(process->report());
  }

  std::atomic<bool> is_made_;  ///< Otherwise there is nothing to keep.
  const WorkspacesDirectory workspaces_;
  LiveWorkspace workspace_;
  Fd listener_;
  const Fd wake_up_;
  const Fd signals_;
  std::atomic<bool> is_ending_ = false;
  std::atomic<bool> is_suspending_ = false;
  std::atomic<bool> is_stopping_ = false;  ///< And not to be suspended.
  std::list<Connection> connections_;      ///< Of the main thread.

  std::mutex mutex_;  ///< Of all below.
  int requests_ = 0;
  Clock::time_point last_busy_ = Clock::now();
};

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
  const auto lock =
      settings.is_new ? std::optional(FileLock(Fd(kLockOfSupervisor))) : wait_for_lock(workspace);
  link->send({{kReady, lock.has_value()}});
  if (lock) Supervisor(settings, std::move(workspace)).run(std::move(link));
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
