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

/// Files may be changed as long as it is there.
class ChangeNotes {
 public:
  explicit ChangeNotes(LiveWorkspace& workspace) : workspace_(workspace) {
    workspace_.note_change();
  }
  ~ChangeNotes() {
    try {
      workspace_.note_change();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the first note is there.
    }
  }
  ChangeNotes(const ChangeNotes&) = delete;
  ChangeNotes& operator=(const ChangeNotes&) = delete;

 private:
  LiveWorkspace& workspace_;
};

class Supervisor {
 public:
  Supervisor(WorkspaceSettings settings, WorkspaceDirectory workspace)
      : is_temporary_(settings.role == WorkspaceRole::temporary),
        is_made_(settings.role == WorkspaceRole::existing),
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

  /// Nothing while there is something to do.
  [[nodiscard]] Deadline idle_end() {
    constexpr std::chrono::seconds kWithoutMachine{2};
    const WorkspaceManifest options = workspace_.beginning();
    const bool is_busy = workspace_.is_running_a_command();
    const bool has_machine = workspace_.has_machine();
    const std::lock_guard lock(mutex_);
    if (requests_ > 0) return std::nullopt;
    // Its first client may not have asked yet.
    if (!has_machine) return last_busy_ + kWithoutMachine;
    if (is_temporary_) return last_busy_;
    Deadline end;
    if (options.idle.count() > 0 && (!is_busy || options.idle_with_processes)) {
      end = last_busy_ + options.idle;
    }
    // Processes go on when it does.
    if (const auto left = life_left(options)) {
      const auto expires = std::max(Clock::now() + *left, last_busy_);
      end = end ? std::min(*end, expires) : expires;
    }
    return end;
  }

  [[nodiscard]] std::optional<Clock::duration> life_left(const WorkspaceManifest& options) const {
    const auto expires = options.expires();
    if (!expires || !is_made_) return std::nullopt;
    const auto left = *expires - std::chrono::system_clock::now();
    return std::chrono::ceil<Clock::duration>(left);
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
    if (kind == request::kAttach) return attach(link, packet);
    if (kind == request::kStop) return end(true);
    if (kind == request::kSuspend) return end(false);
    if (const auto answer = change_states(kind, packet)) return *answer;
    return work(link, [&](const std::stop_token& stop) -> json {
      LinkedProgress progress(link);
      if (kind == request::kCreate) return create(packet.content, progress, stop);
      const auto machine = workspace_.machine(progress, stop);
      if (kind == request::kSignal) {
        workspace_.signal(packet.content.at("process"), packet.content.at("signal"));
        return {};
      }
      if (kind == request::kPublish) return machine->publish(port_of(packet.content));
      if (kind == request::kArchive) return archive(packet, *machine, progress, stop);
      act_as_client(packet);
      const CopyOptions options{.progress = &progress, .stop = stop};
      if (auto answer = copy_files(kind, packet.content, *machine, options)) return *answer;
      if (kind == request::kCopyIn) {
        const ChangeNotes notes(workspace_);
        return machine->copy_in(copy_of(packet), options);
      }
      if (kind == request::kCopyOut) {
        return pyro::document_of(workspace_.copy_out(*machine, copy_out_of(packet), options));
      }
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

  json archive(const Packet& packet, HeldMachine& machine, ProgressListener& progress,
               const std::stop_token& stop) {
    if (packet.descriptors.empty()) throw Error(ErrorCode::usage, "there is no descriptor");
    workspace_.export_changes([&] {
      machine.archive_system(packet.descriptors.front().get(),
                             {.progress = &progress, .stop = stop});
    });
    return {};
  }

  /// Nothing for another request.
  std::optional<json> copy_files(const std::string& kind, const json& content, HeldMachine& machine,
                                 const CopyOptions& options) {
    if (kind == request::kCopyChanges) {
      const bool whole_system = content.at("whole_system");
      const auto copy = [&] {
        machine.copy_changes(directory_of(content), paths_of(content), whole_system, options);
      };
      content.at("exports") ? workspace_.export_changes(copy) : copy();
    } else if (kind == request::kCopyFiles) {
      machine.copy_files(paths_of(content), directory_of(content), options);
    } else if (kind == request::kReplaceFiles) {
      const ChangeNotes notes(workspace_);
      machine.replace_files(directory_of(content), paths_of(content), options);
    } else {
      return std::nullopt;
    }
    return json();
  }

  /// Nothing for another request.
  std::optional<json> change_states(const std::string& kind, const Packet& packet) {
    const json& content = packet.content;
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
    const auto input =
        packet.content.at("keeps_input") ? ProcessInput::attachments : ProcessInput::client;
    const auto process =
        workspace_.start_command(std::move(machine), std::move(command), streams_of(packet), input);
    if (is_detached) return process->number();
    link.send({{"process", process->number()}});
    return follow(link, *process);
  }

  json attach(Link& link, Packet& packet) {
    LinkedProgress progress(link);
    work(link, [&](const std::stop_token& stop) -> json {
      static_cast<void>(workspace_.machine(progress, stop));  // with its processes
      return {};
    });
    const auto process = workspace_.require_running(packet.content.at("process"));
    {
      // Not kept here: its end is the client's to say.
      const Fd input = process->attach(streams_of(packet));
      std::vector<int> descriptors;
      if (input) descriptors.push_back(input.get());
      link.send({{"process", process->number()}}, descriptors);
    }
    return follow(link, *process);
  }

  /// Until the end of the process, or of its client.
  static json follow(Link& link, WorkspaceCommand& process) {
    while (!wait_for_either(link.descriptor(), process.end_event())) {
      const auto said = link.receive();
      if (!said || said->content.contains("detach")) {
        process.release_client();
        return {};
      }
      const json& content = said->content;
      if (content.contains("signal")) process.signal(content["signal"]);
      if (content.contains("stop")) process.stop(content["stop"]);
      if (content.contains("input_ended")) process.end_input();
    }
    return pyro::document_of(process.report());
  }

  const bool is_temporary_;
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

}  // namespace

void serve_workspace(const WorkspaceSettings& settings, WorkspaceDirectory workspace,
                     std::unique_ptr<Link> first) {
  Supervisor(settings, std::move(workspace)).run(std::move(first));
}

}  // namespace pyro
