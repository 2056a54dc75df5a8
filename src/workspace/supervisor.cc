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

json document_of(const SupervisorSettings& settings) {
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

SupervisorSettings settings_of(const json& document) {
  SupervisorSettings settings{.directory = decoded(document.at("directory")),
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

/// Its catalog is empty: a workspace has all that it is made of. The cache has the saved states.
StoreOptions store_options(const SupervisorSettings& settings) {
  StoreOptions store;
  store.cache_dir = settings.cache_dir;
  return store;
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
  Supervisor(SupervisorSettings settings, WorkspaceDirectory workspace)
      : settings_(std::move(settings)),
        workspace_(std::move(workspace)),
        manifest_(workspace_.manifest()),
        directory_(settings_.directory),
        store_(store_options(settings_)),
        listener_(workspace_.listen()),
        wake_up_(::eventfd(0, EFD_CLOEXEC)),
        signals_(signals_to_stop()),
        is_new_(settings_.is_new) {}

  /// Serves `first` and all that connect, until the workspace has nothing to do.
  void run(std::unique_ptr<Link> first) {
    serve(std::move(first));
    while (!is_ending()) wait();
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
    if (ready[2].revents != 0) is_stopping_ = true;
    if (ready[0].revents != 0) {
      Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket) serve(std::make_unique<Link>(std::move(socket)));
    }
    join_connections(false);
  }

  // --- when to end ---

  /// Nothing while there is something to do.
  [[nodiscard]] Deadline idle_end() {
    const std::lock_guard lock(mutex_);
    if (requests_ > 0 || is_running_a_process() || manifest_.idle.count() == 0) return std::nullopt;
    return last_busy_ + manifest_.idle;
  }

  [[nodiscard]] bool is_ending() {
    const Deadline end = idle_end();
    return is_stopping_ || (end && Clock::now() >= *end);
  }

  // With the lock.
  [[nodiscard]] bool is_running_a_process() const {
    return std::ranges::any_of(processes_,
                               [](const auto& one) { return !one.second->has_ended(); });
  }

  void end_machine() {
    is_stopping_ = true;
    std::map<unsigned, std::shared_ptr<WorkspaceCommand>> processes;
    std::shared_ptr<HeldMachine> machine;
    {
      const std::lock_guard lock(mutex_);
      processes = processes_;
      machine = machine_;
    }
    for (const auto& [number, process] : processes) process->stop(SIGTERM);
    for (const auto& [number, process] : processes) {
      static_cast<void>(wait_to_read(process->end_event(), std::nullopt));
    }
    if (!machine) return;
    try {
      machine->sync();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it has ended by itself.
    }
    machine->stop();
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
      if (!all && (!connection.has_ended || is_stopping_)) return false;
      connection.thread.join();
      return true;
    });
  }

  void begin_request() {
    workspace_.note_use();
    const std::lock_guard lock(mutex_);
    ++requests_;
  }

  void end_request() {
    workspace_.note_use();
    const std::lock_guard lock(mutex_);
    --requests_;
    last_busy_ = Clock::now();
  }

  // The client hears of the end of this process by the end of its connection.
  json stop_all() {
    is_stopping_ = true;
    ::eventfd_write(wake_up_.get(), 1);
    return {};
  }

  void answer(Link& link) {
    auto packet = link.receive();
    if (!packet) return;  // who looks whether there is a supervisor
    begin_request();
    try {
      if (is_stopping_ && packet->content.value(request::kKind, "") != request::kStop) {
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
    if (kind == request::kSignal) return send_signal(packet.content);
    if (kind == request::kStop) return stop_all();
    return work(link, [&](const std::stop_token& stop) -> json {
      LinkedProgress progress(link);
      if (kind == request::kCreate) return create(packet.content, progress, stop);
      const auto machine = this->machine(progress, stop);
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

  // --- the machine ---

  /// Started if needed.
  std::shared_ptr<HeldMachine> machine(ProgressListener& progress, const std::stop_token& stop) {
    const std::lock_guard starting(starting_);
    {
      const std::lock_guard lock(mutex_);
      if (machine_ && !machine_->has_ended()) return machine_;
    }
    MachineOptions options = settings_.machine;
    options.cpus = manifest_.cpus;
    options.memory_mib = manifest_.memory_mib;
    options.disk_mib = manifest_.disk_mib;
    options.network = manifest_.network;
    auto started =
        std::make_shared<HeldMachine>(store_, workspace_.machine(settings_.name, is_new_), options,
                                      StartOptions{.progress = &progress, .stop = stop});
    const std::lock_guard lock(mutex_);
    return machine_ = std::move(started);
  }

  json create(const json& content, ProgressListener& progress, const std::stop_token& stop) {
    CreatedWorkspace created;
    try {
      created = fill(decoded(content.at("from")), content.at("all_files"), progress, stop);
      created.is_new = directory_.publish(workspace_, settings_.name);
    } catch (const Error&) {
      discard();
      throw;
    }
    if (!created.is_new) discard();
    return pyro::document_of(created);
  }

  CreatedWorkspace fill(const std::string& from, bool all_files, ProgressListener& progress,
                        const std::stop_token& stop) {
    SeedOptions options{.from = from};
    std::optional<Seed> seed;
    if (!from.empty()) {
      seed.emplace(from, all_files, stop);
      options.choice = &*seed;
      options.bytes = seed->bytes();
    }
    const auto machine = this->machine(progress, stop);
    CreatedWorkspace created;
    created.unreadable = machine->seed(options, {.progress = &progress, .stop = stop});
    machine->sync();
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    is_new_ = false;
    if (seed) {
      created.files = seed->files();
      created.bytes = seed->bytes();
      created.secrets = seed->secrets();
    }
    return created;
  }

  /// What was to become a workspace.
  void discard() {
    is_stopping_ = true;
    try {
      directory_.remove(workspace_);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next command removes it.
    }
  }

  // --- commands ---

  json run_command(Link& link, Packet& packet) {
    LinkedProgress progress(link);
    std::shared_ptr<HeldMachine> machine;
    work(link, [&](const std::stop_token& stop) -> json {
      machine = this->machine(progress, stop);
      return {};
    });
    CommandOptions command = command_of(packet.content);
    if (!command.directory.starts_with('/')) {
      command.directory = std::string(kWorkspaceDirectory) +
                          (command.directory.empty() ? "" : '/' + command.directory);
    }
    const bool is_detached = packet.content.at("detached");
    const auto process = start_process(std::move(machine), std::move(command), streams_of(packet));
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

  std::shared_ptr<WorkspaceCommand> start_process(std::shared_ptr<HeldMachine> machine,
                                                  CommandOptions command, ClientStreams streams) {
    // With the lock: who stops the workspace stops all that are there.
    const std::lock_guard lock(mutex_);
    if (is_stopping_) throw Error(ErrorCode::busy, "the workspace is being stopped");
    auto record = ProcessRecord::make(workspace_.descriptor(), command.command);
    auto process = std::make_shared<WorkspaceCommand>(std::move(machine), std::move(command),
                                                      std::move(streams), std::move(record));
    std::erase_if(processes_, [](const auto& one) { return one.second->has_ended(); });
    processes_.emplace(process->number(), process);
    return process;
  }

  json send_signal(const json& content) {
    const unsigned number = content.at("process");
    const std::lock_guard lock(mutex_);
    const auto found = processes_.find(number);
    if (found != processes_.end()) found->second->signal(content.at("signal"));
    return {};
  }

  const SupervisorSettings settings_;
  const WorkspaceDirectory workspace_;
  const WorkspaceManifest manifest_;
  const WorkspacesDirectory directory_;
  EnvironmentStore store_;
  Fd listener_;
  const Fd wake_up_;
  const Fd signals_;
  std::atomic<bool> is_stopping_ = false;
  std::list<Connection> connections_;  ///< Of the main thread.

  std::mutex starting_;  ///< Held while the machine is being started.
  bool is_new_;          ///< With it.

  std::mutex mutex_;  ///< Of all below.
  std::shared_ptr<HeldMachine> machine_;
  std::map<unsigned, std::shared_ptr<WorkspaceCommand>> processes_;
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
  const SupervisorSettings settings = settings_of(packet->content.at(kSettings));
  Fd directory(kDirectoryOfSupervisor);
  WorkspaceDirectory workspace(std::move(directory), decoded(packet->content.at("path")));
  const auto lock =
      settings.is_new ? std::optional(FileLock(Fd(kLockOfSupervisor))) : wait_for_lock(workspace);
  link->send({{kReady, lock.has_value()}});
  if (lock) Supervisor(settings, std::move(workspace)).run(std::move(link));
}

}  // namespace

std::unique_ptr<Link> start_supervisor(const std::filesystem::path& executable,
                                       const SupervisorSettings& settings,
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
