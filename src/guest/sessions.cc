// One loop over the channel, the processes of all commands, and their streams.
#include <arpa/inet.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "guest/command.h"
#include "guest/connection.h"
#include "guest/descriptor.h"
#include "guest/session.h"
#include "guest/system.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

/// Readable when a child has ended.
Descriptor child_signal() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

struct Session {
  CommandRequest request;      ///< As far as it has arrived.
  std::unique_ptr<Task> task;  ///< From then on.
};

class Server {
 public:
  explicit Server(Channel& channel) : channel_(channel) {}

  [[noreturn]] void run() {
    obey_frames();  // that came with the one before
    for (;;) {
      channel_.flush();  // the end of a command does not wait for the next process
      // A failure is reported with the next command. Beside others it would hold their descriptors,
      // so that their streams have no end.
      if (sessions_.empty()) process_.make();
      wait_once();
    }
  }

 private:
  enum Own { kChannel, kChildren, kOwn };

  void wait_once() {
    watch();
    if (::poll(fds_.data(), fds_.size(), patience()) < 0) return;
    if (fds_[kChildren].revents != 0) reap_ended();
    go_on();
    if (fds_[kChannel].revents != 0) {
      obey(channel_.read());
      obey_frames();
    }
    std::erase_if(sessions_, [](const auto& session) {
      return session.second.task && session.second.task->has_ended();
    });
  }

  void watch() {
    fds_.assign(kOwn, {-1, POLLIN, 0});
    fds_[kChannel].fd = channel_.descriptor();
    fds_[kChildren].fd = children_.get();
    for (const auto& [number, session] : sessions_) {
      if (!session.task) continue;
      pollfd fds[Task::kMaxWatched] = {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}};
      session.task->watch(fds);
      fds_.insert(fds_.end(), std::begin(fds), std::end(fds));
    }
  }

  [[nodiscard]] int patience() const {
    int most = -1;
    for (const auto& [number, session] : sessions_) {
      const int own = session.task ? session.task->patience() : -1;
      if (own >= 0 && (most < 0 || own < most)) most = own;
    }
    return most;
  }

  // In the order of watch().
  void go_on() {
    auto fds = fds_.begin() + kOwn;
    for (const auto& [number, session] : sessions_) {
      if (!session.task) continue;
      pollfd own[Task::kMaxWatched];
      std::copy_n(fds, Task::kMaxWatched, own);
      fds += Task::kMaxWatched;
      if (!session.task->has_ended()) session.task->go_on(own);
    }
  }

  void obey_frames() {
    while (channel_.has_frame()) obey(channel_.read());
  }

  void obey(const Frame& frame) {
    std::string_view payload = frame.payload;
    const auto found = sessions_.find(frame.session);
    const bool is_known = found != sessions_.end();
    switch (frame.type) {
      case FrameType::start:
        return restart(payload, {});
      case FrameType::hold:
        return stand_still(fixed_part<NumberPayload>(payload));
      case FrameType::argument:
        sessions_[frame.session].request.arguments.emplace_back(payload);
        return;
      case FrameType::variable:
        sessions_[frame.session].request.variables.emplace_back(payload);
        return;
      case FrameType::directory:
        sessions_[frame.session].request.directory = payload;
        return;
      case FrameType::user:
        sessions_[frame.session].request.user = payload;
        return;
      case FrameType::probe:
        read_programs(sessions_[frame.session].request);
        sessions_.erase(frame.session);
        return channel_.write(frame.session, FrameType::done);
      case FrameType::run:
        return run_command(frame.session, fixed_part<RunPayload>(payload));
      case FrameType::put:
        sessions_[frame.session].task = start_put(channel_, frame.session, payload);
        return;
      case FrameType::seed:
        sessions_[frame.session].task =
            start_seed(channel_, frame.session, sessions_[frame.session].request.user);
        return;
      case FrameType::changes: {
        Session& session = sessions_[frame.session];
        session.task = start_changes(channel_, frame.session, fixed_part<ChangesPayload>(payload),
                                     std::exchange(session.request.arguments, {}));
        return;
      }
      case FrameType::files: {
        Session& session = sessions_[frame.session];
        session.task =
            start_files(channel_, frame.session, std::exchange(session.request.arguments, {}));
        return;
      }
      case FrameType::replace: {
        Session& session = sessions_[frame.session];
        session.task =
            start_replace(channel_, frame.session, std::exchange(session.request.arguments, {}));
        return;
      }
      case FrameType::archive:
        sessions_[frame.session].task = start_archive(channel_, frame.session);
        return;
      case FrameType::sync:
        ::sync();
        sessions_.erase(frame.session);
        return channel_.write(frame.session, FrameType::done);
      case FrameType::get:
        sessions_[frame.session].task = start_get(channel_, frame.session, payload);
        return;
      case FrameType::reach: {
        const auto host = fixed_part<ReachPayload>(payload);
        return reach(frame.session, host, payload);
      }
      case FrameType::connect:
        sessions_[frame.session].task =
            start_connection(channel_, frame.session, fixed_part<ConnectPayload>(payload));
        return;
      case FrameType::abandon:
        if (is_known) abandon(frame.session, found->second);
        return;
      case FrameType::granted:
        if (is_known && found->second.task) {
          found->second.task->grant(fixed_part<NumberPayload>(payload).number);
        }
        return;
      default:  // of a task, which may have ended
        if (is_known && found->second.task && !found->second.task->has_ended()) {
          found->second.task->obey(frame.type, payload);
        }
    }
  }

  /// For a new host. `kept`: the sessions of the former one that it follows.
  void restart(std::string_view payload, const std::set<std::uint16_t>& kept) {
    const auto start = fixed_part<StartPayload>(payload);
    std::erase_if(sessions_, [&](const auto& session) {
      return !session.second.task || !kept.contains(session.first);
    });
    for (const std::uint16_t number : kept) {
      const auto found = sessions_.find(number);
      if (found != sessions_.end())
        found->second.task->reset_window();
      else
        channel_.write_fixed(number, FrameType::exited, ExitPayload{kLostCommand, 0});
    }
    begin_session(start, std::string(payload));
    channel_.write_fixed(kControlSession, FrameType::ready, NumberPayload{kProtocolVersion});
  }

  /// The machine is saved meanwhile, and its next host may be another one.
  void stand_still(const NumberPayload& request) {
    channel_.write_fixed(kControlSession, FrameType::held, request);
    channel_.flush();
    std::set<std::uint16_t> kept;
    for (;;) {
      const Frame frame = channel_.read();
      if (frame.type == FrameType::keep) kept.insert(frame.session);
      if (frame.type == FrameType::start) return restart(frame.payload, kept);
      if (frame.type == FrameType::proceed) return;
    }
  }

  void run_command(std::uint16_t number, const RunPayload& run) {
    Session& session = sessions_[number];
    session.request.makes_directory = run.make_directory != 0;
    session.task = start_command(channel_, number, process_, session.request, run);
    session.request = {};
  }

  void abandon(std::uint16_t number, const Session& session) {
    if (session.task && session.task->process() > 0) ::kill(-session.task->process(), SIGKILL);
    const bool has_ended = session.task && session.task->has_ended();
    sessions_.erase(number);
    if (!has_ended) channel_.write(number, FrameType::done);
  }

  void reach(std::uint16_t number, const ReachPayload& host, std::string_view words) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = host.address;
    address.sin_port = host.port;
    const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool said =
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(socket.get(), words.data(), words.size(), MSG_NOSIGNAL) >= 0;
    if (said) return channel_.write(number, FrameType::done);
    channel_.write_fixed(number, FrameType::refused, RefusalPayload{errno},
                         "cannot reach the host");
  }

  void reap_ended() {
    signalfd_siginfo ignored;
    while (::read(children_.get(), &ignored, sizeof ignored) > 0) {
    }
    reap(WNOHANG);
  }

  // Init is the parent of all orphans.
  void reap(int options) {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, options)) > 0;) note_end(pid, status);
  }

  void note_end(pid_t pid, int status) {
    if (process_.waits() && process_.pid() == pid) return process_.forget();
    for (const auto& [number, session] : sessions_) {
      if (!session.task || session.task->process() != pid) continue;
      session.task->note_end(status);
      if (!session.task->ends_all()) return;
      ::kill(-1, SIGKILL);
      return reap(0);
    }
  }

  Channel& channel_;
  const Descriptor children_ = child_signal();
  WaitingProcess process_;
  std::map<std::uint16_t, Session> sessions_;
  std::vector<pollfd> fds_;
};

}  // namespace

void serve_sessions(Channel& channel) {
  Server(channel).run();
}

}  // namespace pyro::guest
