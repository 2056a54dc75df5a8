// Runs one command: streams, terminal, signals, exit status.
#include "guest/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "guest/descriptor.h"
#include "guest/end_of_input.h"

namespace pyro::guest {
namespace {

constexpr int kLargePipe = 256 << 10;

/// The kernel passes each line of a terminal on by itself. Who reads at once reads a few bytes, and
/// keeps the writer from going on.
constexpr long kWorthARead = 2048;

class CommandTask : public Task {
 public:
  CommandTask(Channel& channel, std::uint16_t session, WaitingProcess& process,
              const CommandRequest& request, const RunPayload& run)
      : Task(channel, session), run_(run) {
    const StartFailure failure = start_process(process, request);
    if (failure.error_number == 0) return;
    writer_.write_fixed(FrameType::refused, RefusalPayload{failure.error_number}, failure.what);
    end();
  }

  void obey(FrameType type, std::string_view payload) override {
    switch (type) {
      case FrameType::input:
        return add_input(payload);
      case FrameType::closed:
        return stop_listening(fixed_part<StreamPayload>(payload).stream);
      case FrameType::resize:
        return resize(fixed_part<WindowPayload>(payload));
      case FrameType::signal:
        if (process_ > 0)
          ::kill(-process_, static_cast<int>(fixed_part<NumberPayload>(payload).number));
        return;
      default:
        return;
    }
  }

  void watch(pollfd (&fds)[kMaxWatched]) const override {
    const bool listens = writer_.has_window() && !has_exited_ && !rests_;
    fds[kOutput] = {listens ? output_.get() : -1, POLLIN, 0};
    fds[kErrorOutput] = {listens ? error_output_.get() : -1, POLLIN, 0};
    fds[kInput] = {pending_.empty() ? -1 : input_.get(), POLLOUT, 0};
  }

  [[nodiscard]] int patience() const override {
    if (has_exited_ && writer_.has_window()) return 0;
    if (rests_) return 1;
    return is_at_its_end() ? EndOfInput::kLookInterval : -1;
  }

  void go_on(const pollfd (&fds)[kMaxWatched]) override {
    rests_ = false;
    if (fds[kOutput].revents != 0) forward(output_, FrameType::output);
    if (fds[kErrorOutput].revents != 0 && writer_.has_window()) {
      forward(error_output_, FrameType::error_output);
    }
    if (fds[kInput].revents != 0) feed();
    if (is_at_its_end()) end_of_input_.look(input_.get(), terminal_.get());
    if (has_exited_) drain();
  }

  [[nodiscard]] pid_t process() const override { return process_; }
  [[nodiscard]] bool ends_all() const override { return run_.ends_all != 0; }

  void note_end(int status) override {
    process_ = -1;
    has_exited_ = true;
    if (WIFSIGNALED(status))
      exit_.signal = static_cast<std::uint32_t>(WTERMSIG(status));
    else
      exit_.code = static_cast<std::uint32_t>(WEXITSTATUS(status));
    // The output of a terminal is complete when no process has it open.
    terminal_.close();
    close_input();
  }

 private:
  enum Watched { kOutput, kErrorOutput, kInput };

  StartFailure start_process(WaitingProcess& process, const CommandRequest& request) {
    StreamChoice streams{{}, run_.input != 0};
    if (!process.make()) return {errno, "cannot start a process"};
    if (run_.terminal == 0)
      use_pipes(process.pipes);
    else if (!open_terminal(streams.terminal))
      return {errno, "cannot make the terminal of the command"};
    const pid_t pid = process.pid();
    StartFailure failure = process.become(request, streams);
    if (failure.error_number == 0) process_ = pid;
    return failure;
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

  void use_pipes(WaitingProcess::Pipes& pipes) {
    output_ = std::move(pipes.output);
    error_output_ = std::move(pipes.error_output);
    input_ = std::move(pipes.input);
    if (run_.input == 0) input_.close();
  }

  /// @return the bytes, or 0 when there are none now or any more
  std::size_t forward(Descriptor& stream, FrameType type) {
    if (!stream.is_open()) return 0;
    const bool is_terminal = run_.terminal != 0;
    const long got = writer_.forward(type, stream.get(), kStreamPiece, is_terminal);
    // Growing the pipe takes time, so only for much output.
    if (got == kStreamPiece && !is_terminal) ::fcntl(stream.get(), F_SETPIPE_SZ, kLargePipe);
    rests_ = is_terminal && got > 0 && got < kWorthARead;
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) stream.close();
    return 0;
  }

  // Processes that the command left may hold its streams, and write for ever. What the command
  // itself wrote is at most what a pipe holds.
  void drain() {
    while (writer_.has_window() && to_drain_ > 0) {
      std::size_t got = forward(output_, FrameType::output);
      if (writer_.has_window()) got += forward(error_output_, FrameType::error_output);
      if (got == 0) to_drain_ = 0;
      to_drain_ -= std::min(got, to_drain_);
    }
    if (to_drain_ > 0) return;
    writer_.write_fixed(FrameType::exited, exit_);
    end();
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

  [[nodiscard]] bool is_at_its_end() const {
    return terminal_.is_open() && input_.is_open() && input_ended_ && pending_.empty();
  }

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
    if (input_ended_ && pending_.empty() && run_.terminal == 0) input_.close();
  }

  void give_back(std::size_t bytes) {
    writer_.write_fixed(FrameType::taken, NumberPayload{static_cast<std::uint32_t>(bytes)});
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

  const RunPayload run_;
  pid_t process_ = -1;
  Descriptor input_;
  Descriptor output_;
  Descriptor error_output_;
  /// The command's end of its terminal. Open here because a terminal hangs up when no process has
  /// it open, and the command may close it and open it again.
  Descriptor terminal_;
  std::string pending_;
  bool input_ended_ = false;
  EndOfInput end_of_input_;
  bool has_exited_ = false;
  bool rests_ = false;  ///< The terminal is left alone for a moment.
  std::size_t to_drain_ = 2 * kLargePipe;
  ExitPayload exit_;
};

}  // namespace

std::unique_ptr<Task> start_command(Channel& channel, std::uint16_t session,
                                    WaitingProcess& process, const CommandRequest& request,
                                    const RunPayload& run) {
  return std::make_unique<CommandTask>(channel, session, process, request, run);
}

}  // namespace pyro::guest
