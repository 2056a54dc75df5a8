// Runs one command: streams, terminal, signals, exit status.
#include "guest/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

constexpr int kMinLooks = 2;
constexpr int kMaxLooks = 20;

long long milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

/// Whether no other process runs: a shell that is still starting does not read keys yet.
bool all_others_wait() {
  const Descriptor file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  char text[128] = {};
  if (::read(file.get(), text, sizeof text - 1) <= 0) return true;
  // "0.00 0.00 0.00 1/60 123": the one that runs is this process.
  return std::strstr(text, " 1/") != nullptr;
}

/// The end of a terminal's input.
///
/// After it, every read of the empty terminal returns an end of file. When a process seems to wait
/// for input, init types the end-of-file key. Init removes a key that nobody reads, because a
/// program that changes the mode of the terminal later would misread it.
class EndOfInput {
 public:
  static constexpr int kLookInterval = 50;  ///< In milliseconds.

  void note_input(std::string_view bytes) {
    if (!bytes.empty()) last_input_ = bytes.back();
  }

  /// Called repeatedly once all input has been written. `keys` is our end of the terminal,
  /// `terminal` the command's.
  void look(int keys, int terminal) {
    if (milliseconds() < next_look_) return;
    next_look_ = milliseconds() + kLookInterval;
    pollfd unread{terminal, POLLIN, 0};
    const bool is_empty = ::poll(&unread, 1, 0) == 0;
    if (std::exchange(has_typed_, false)) {
      needed_ = is_empty ? kMinLooks : std::min(needed_ * 2, kMaxLooks);
      if (!is_empty) ::tcflush(terminal, TCIFLUSH);
      looks_ = 0;
      return;
    }
    looks_ = is_empty ? looks_ + 1 : 0;
    // A process that runs all the time is ignored.
    if (looks_ >= needed_ && (all_others_wait() || looks_ > 2 * kMaxLooks)) type(keys, terminal);
  }

 private:
  // Within a line the key ends that part of the line, and a second one is the end of file. For a
  // program in raw mode it is the end of file in an empty line only.
  void type(int keys, int terminal) {
    termios settings{};
    if (::tcgetattr(terminal, &settings) != 0) return;
    const bool has_lines = (settings.c_lflag & ICANON) != 0;
    const bool is_within_line = last_input_ != '\n' && last_input_ != '\r';
    char key = static_cast<char>(settings.c_cc[VEOF]);
    if (!has_lines && is_within_line) key = '\n';
    if (key == _POSIX_VDISABLE) return;
    has_typed_ = ::write(keys, &key, 1) == 1 && !is_within_line;
    last_input_ = '\n';
    looks_ = 0;
  }

  char last_input_ = '\n';
  bool has_typed_ = false;  ///< A key that may have to be removed.
  int looks_ = 0;           ///< At an empty terminal, since a key was typed.
  int needed_ = kMinLooks;  ///< Looks before a key is typed.
  long long next_look_ = 0;
};

constexpr int kLargePipe = 256 << 10;

/// Readable when a child has ended. Made once: a resumed machine has it.
int child_signal() {
  static const Descriptor signal([] {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    return ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  }());
  return signal.get();
}

class CommandServer {
 public:
  CommandServer(Channel& channel, WaitingProcess& process, const CommandRequest& request,
                const RunPayload& run)
      : channel_(channel), process_(process), request_(request), run_(run) {}

  void serve() {
    if (!start()) return;
    while (!ended_) wait_once();
    drain();
    channel_.write_fixed(FrameType::exited, exit_);
  }

 private:
  bool start() {
    StartFailure failure = start_process();
    if (failure.error_number == 0) return true;
    channel_.write_fixed(FrameType::refused, RefusalPayload{failure.error_number}, failure.what);
    return false;
  }

  StartFailure start_process() {
    StreamChoice streams{{}, run_.input != 0};
    if (!process_.make()) return {errno, "cannot start a process"};
    if (run_.terminal == 0)
      use_pipes();
    else if (!open_terminal(streams.terminal))
      return {errno, "cannot make the terminal of the command"};
    return process_.become(request_, streams);
  }

  bool open_terminal(std::string& path) {
    output_.set(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    int unlocked = 0;
    unsigned number = 0;
    if (!output_.is_open() || ::ioctl(output_.get(), TIOCSPTLCK, &unlocked) != 0 ||
        ::ioctl(output_.get(), TIOCGPTN, &number) != 0) {
      return false;
    }
    resize(run_.window);
    path = "/dev/pts/" + std::to_string(number);
    terminal_.set(::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    input_.set(::fcntl(output_.get(), F_DUPFD_CLOEXEC, 0));
    input_ended_ = run_.input == 0;
    return terminal_.is_open() && input_.is_open();
  }

  void use_pipes() {
    output_ = std::move(process_.pipes.output);
    error_output_ = std::move(process_.pipes.error_output);
    if (run_.input != 0) input_ = std::move(process_.pipes.input);
  }

  void wait_once() {
    enum { kChannel, kChildren, kOutput, kErrorOutput, kInput, kCount };
    pollfd fds[kCount] = {{channel_.descriptor(), POLLIN, 0},
                          {children_, POLLIN, 0},
                          {output_.get(), POLLIN, 0},
                          {error_output_.get(), POLLIN, 0},
                          {pending_.empty() ? -1 : input_.get(), POLLOUT, 0}};
    const bool is_at_its_end = terminal_.is_open() && input_.is_open() && has_no_more_input();
    if (::poll(fds, kCount, is_at_its_end ? EndOfInput::kLookInterval : -1) < 0) return;
    if (fds[kOutput].revents != 0) forward(output_, FrameType::output);
    if (fds[kErrorOutput].revents != 0) forward(error_output_, FrameType::error_output);
    if (fds[kInput].revents != 0) feed();
    if (fds[kChannel].revents != 0) obey(channel_.read());
    if (fds[kChildren].revents != 0) reap();
    if (is_at_its_end && input_.is_open()) end_of_input_.look(input_.get(), terminal_.get());
  }

  void forward(Descriptor& stream, FrameType type) {
    if (!stream.is_open()) return;
    const long got = channel_.forward(type, stream.get());
    // Growing the pipe takes time, so only for much output.
    if (got == kStreamPiece && run_.terminal == 0) {
      ::fcntl(stream.get(), F_SETPIPE_SZ, kLargePipe);
    }
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    stream.close();
  }

  void obey(const Frame& frame) {
    std::string_view payload = frame.payload;
    switch (frame.type) {
      case FrameType::input:
        return add_input(payload);
      case FrameType::closed:
        return stop_listening(fixed_part<StreamPayload>(payload).stream);
      case FrameType::resize:
        return resize(fixed_part<WindowPayload>(payload));
      case FrameType::signal:
        ::kill(-process_.pid(), static_cast<int>(fixed_part<NumberPayload>(payload).number));
        return;
      default:
        return;
    }
  }

  void add_input(std::string_view bytes) {
    if (bytes.empty()) {
      input_ended_ = true;
    } else if (input_.is_open()) {
      end_of_input_.note_input(bytes);
      pending_ += bytes;
    } else {
      give_back(bytes.size());
    }
    feed();
  }

  [[nodiscard]] bool has_no_more_input() const { return input_ended_ && pending_.empty(); }

  void feed() {
    while (input_.is_open() && !pending_.empty()) {
      const long put = ::write(input_.get(), pending_.data(), pending_.size());
      if (put < 0 && errno == EAGAIN) return;
      if (put < 0 && errno == EINTR) continue;
      const std::size_t gone = put < 0 ? pending_.size() : static_cast<std::size_t>(put);
      pending_.erase(0, gone);
      give_back(gone);
      if (put < 0) input_.close();  // its reader is gone
    }
    if (has_no_more_input() && run_.terminal == 0) input_.close();
  }

  void give_back(std::size_t bytes) {
    channel_.write_fixed(FrameType::taken, NumberPayload{static_cast<std::uint32_t>(bytes)});
  }

  void stop_listening(Stream stream) {
    if (stream == Stream::output) output_.close();
    if (stream == Stream::error_output) error_output_.close();
    // A terminal hangs up when all our descriptors are closed.
    if (run_.terminal != 0) close_input();
  }

  void close_input() {
    if (!pending_.empty()) give_back(pending_.size());
    pending_.clear();
    input_.close();
  }

  void resize(const WindowPayload& window) {
    if (run_.terminal == 0 || !output_.is_open()) return;
    winsize size{};
    size.ws_row = window.rows;
    size.ws_col = window.columns;
    ::ioctl(output_.get(), TIOCSWINSZ, &size);
  }

  // Init is the parent of all orphans.
  void reap() {
    signalfd_siginfo ignored;
    while (::read(children_, &ignored, sizeof ignored) > 0) {
    }
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == process_.pid()) note_end(status);
    }
  }

  void note_end(int status) {
    ended_ = true;
    if (WIFSIGNALED(status))
      exit_.signal = static_cast<std::uint32_t>(WTERMSIG(status));
    else
      exit_.code = static_cast<std::uint32_t>(WEXITSTATUS(status));
    ::kill(-1, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
  }

  // All writers are dead, so this ends.
  void drain() {
    while (output_.is_open() && channel_.forward(FrameType::output, output_.get()) > 0) {
    }
    while (error_output_.is_open() &&
           channel_.forward(FrameType::error_output, error_output_.get()) > 0) {
    }
  }

  Channel& channel_;
  WaitingProcess& process_;
  const CommandRequest& request_;
  const RunPayload run_;
  const int children_ = child_signal();
  Descriptor input_;
  Descriptor output_;
  Descriptor error_output_;
  /// The command's end of its terminal. Open here because a terminal hangs up when no process has
  /// it open, and the command may close it and open it again.
  Descriptor terminal_;
  std::string pending_;
  bool input_ended_ = false;
  EndOfInput end_of_input_;
  bool ended_ = false;
  ExitPayload exit_;
};

}  // namespace

void serve_command(Channel& channel, WaitingProcess& process, const CommandRequest& request,
                   const RunPayload& run) {
  CommandServer(channel, process, request, run).serve();
}

}  // namespace pyro::guest
