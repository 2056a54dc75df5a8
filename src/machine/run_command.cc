// Runs one command in a guest: streams, signals, timeout, exit status.
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "machine/guest_requests.h"
#include "machine/nonblocking_writer.h"

namespace pyro {
namespace {

using guest::FrameType;

/// How often the size of the terminal is checked.
constexpr std::chrono::milliseconds kWindowInterval{200};

/// How many bytes of output may wait for a slow reader while frames behind them are read.
constexpr std::size_t kMaxAhead = 256 << 10;

/// How long a reader may take for the rest of the output of a command that was ended.
constexpr std::chrono::seconds kReaderTimeout{1};

/// The guest has a null device of its own.
bool is_null_device(int fd) {
  const dev_t null_device = makedev(1, 3);  // Linux: Documentation/admin-guide/devices.txt
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == null_device;
}

class CommandSession {
 public:
  CommandSession(GuestSession& session, const CommandOptions& options,
                 std::chrono::milliseconds kill_timeout)
      : session_(session),
        options_(options),
        kill_timeout_(kill_timeout),
        output_(options.output, options.output_limit),
        error_output_(options.error_output, options.output_limit),
        signals_(options.signals),
        input_open_(options.input >= 0 && !is_null_device(options.input)) {}

  CommandEnd run() {
    const auto kept = options_.before_command ? options_.before_command() : nullptr;
    request();
    return follow();
  }

  /// From here on, also that of another host.
  CommandEnd follow() {
    if (options_.timeout) deadline_ = Clock::now() + *options_.timeout;
    try {
      while (!has_ended()) wait();
    } catch (const MachineLost&) {
      if (stage_ == Stage::running) throw;
      cut_off();  // the machine ended while the command was being ended
    }
    return end_;
  }

 private:
  enum class Stage { running, terminated, killed };

  bool has_ended() {
    handle_frames();
    return ended_ && output_.idle() && error_output_.idle();
  }

  void request() {
    for (const std::string& word : options_.command) send_word(FrameType::argument, word);
    for (const std::string& variable : options_.variables) {
      send_word(FrameType::variable, variable);
    }
    if (!options_.directory.empty()) send_word(FrameType::directory, options_.directory);
    if (!options_.user.empty()) send_word(FrameType::user, options_.user);
    guest::RunPayload run;
    run.terminal = options_.terminal ? 1 : 0;
    run.input = input_open_ ? 1 : 0;
    run.make_directory = options_.make_directory ? 1 : 0;
    run.ends_all = options_.ends_all_processes ? 1 : 0;
    run.window = window_ = current_window();
    session_.send_fixed(FrameType::run, run);
  }

  void send_word(FrameType type, const std::string& word) {
    require_no_zero_byte(word);
    if (word.size() >= guest::kMaxPayload) {
      throw Error(ErrorCode::usage, "a word of the command is longer than Linux allows");
    }
    session_.send(type, word);
  }

  // Frames are read when earlier output has been written, so that a slow reader slows the guest
  // down. For a command that is being ended, its exit is looked for ahead of the reader.
  void handle_frames() { handle_frames(stage_ == Stage::running ? 0 : kMaxAhead); }

  // In turns, as a flood must not delay the timeout.
  void handle_frames(std::size_t ahead) {
    constexpr int kTurn = 256;
    has_more_ = false;
    for (int i = 0; !ended_ && output_.pending() <= ahead && error_output_.pending() <= ahead;
         ++i) {
      has_more_ = i == kTurn;
      if (has_more_) return;
      const auto frame = session_.try_next();
      if (!frame) return;
      handle(*frame);
    }
  }

  void handle(GuestFrame frame) {
    switch (frame.type) {
      case FrameType::output:
        output_.write(frame.payload);
        return report_closed_reader(output_, guest::Stream::output);
      case FrameType::error_output:
        error_output_.write(frame.payload);
        return report_closed_reader(error_output_, guest::Stream::error_output);
      case FrameType::taken:
        unanswered_ -= std::min<std::uint64_t>(
            unanswered_, fixed_part<guest::NumberPayload>(frame.payload).number);
        return;
      case FrameType::exited: {
        const auto end = fixed_part<guest::ExitPayload>(frame.payload);
        end_.code = static_cast<int>(end.code & 0xff);
        end_.signal = static_cast<int>(end.signal & 0x7f);
        return on_exit();
      }
      case FrameType::refused:
        end_.refused = fixed_part<guest::RefusalPayload>(frame.payload).error_number;
        end_.refusal = shortened(frame.payload);
        return on_exit();
      default:
        refuse_frame();
    }
  }

  // After a normal exit the reader may take any time.
  void on_exit() {
    ended_ = true;
    if (stage_ == Stage::running) return deadline_.reset();
    deadline_ = std::min(*deadline_, Clock::now() + kReaderTimeout);
  }

  void wait() {
    enum { kInput, kOutput, kErrorOutput, kSignals, kCount };
    const bool may_send = input_open_ && unanswered_ < guest::kInputWindow && !ended_;
    std::array<pollfd, kCount> fds = {{{may_send ? options_.input : -1, POLLIN, 0},
                                       {output_.poll_fd(), POLLOUT, 0},
                                       {error_output_.poll_fd(), POLLOUT, 0},
                                       {signals_, POLLIN, 0}}};
    session_.wait(fds, next_deadline());
    if (fds[kInput].revents != 0) forward_input();
    if (fds[kOutput].revents != 0) output_.flush();
    if (fds[kErrorOutput].revents != 0) error_output_.flush();
    if (fds[kSignals].revents != 0) forward_signals();
    report_closed_reader(output_, guest::Stream::output);
    report_closed_reader(error_output_, guest::Stream::error_output);
    if (options_.window >= 0) follow_window();
    keep_time();
  }

  void report_closed_reader(NonBlockingWriter& writer, guest::Stream stream) {
    if (writer.consume_closed())
      session_.send_fixed(FrameType::closed, guest::StreamPayload{stream});
  }

  void forward_input() {
    std::array<char, guest::kStreamPiece> piece;
    const std::size_t room = guest::kInputWindow - unanswered_;
    const ssize_t got = ::read(options_.input, piece.data(), std::min(piece.size(), room));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    session_.send(FrameType::input, {piece.data(), size});
    unanswered_ += size;
    if (size == 0) input_open_ = false;
  }

  void forward_signals() {
    std::array<unsigned char, 64> numbers;
    const ssize_t got = ::read(signals_, numbers.data(), numbers.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) signals_ = -1;
    for (ssize_t i = 0; i < got; ++i) send_signal(numbers[static_cast<std::size_t>(i)]);
  }

  void send_signal(int number) {
    session_.send_fixed(FrameType::signal,
                        guest::NumberPayload{static_cast<std::uint32_t>(number)});
  }

  [[nodiscard]] guest::WindowPayload current_window() const {
    winsize size{};
    if (options_.window >= 0) ::ioctl(options_.window, TIOCGWINSZ, &size);
    // No terminal, or one without a size.
    if (size.ws_row == 0 || size.ws_col == 0) return {24, 80};
    return {size.ws_row, size.ws_col};
  }

  void follow_window() {
    const guest::WindowPayload now = current_window();
    if (now.rows == window_.rows && now.columns == window_.columns) return;
    window_ = now;
    session_.send_fixed(FrameType::resize, now);
  }

  [[nodiscard]] Deadline next_deadline() const {
    if (has_more_) return Clock::now();
    if (options_.window < 0) return deadline_;
    const auto look = Clock::now() + kWindowInterval;
    return deadline_ ? std::min(*deadline_, look) : look;
  }

  // A command gets a signal, is then killed, and at last abandoned with its machine.
  void keep_time() {
    if (session_.consume_stop()) return stop();
    if (!deadline_ || Clock::now() < *deadline_) return;
    if (ended_) return finish();
    switch (stage_) {
      case Stage::running:
        handle_frames(kMaxAhead);
        if (ended_) return;  // it ended in time, and its reader is slow
        end_.timed_out = true;
        return request_end(options_.end_signal != 0 ? options_.end_signal : SIGTERM);
      case Stage::terminated:
        send_signal(SIGKILL);
        return enter(Stage::killed, kill_timeout_);
      case Stage::killed:
        return finish();
    }
  }

  void stop() {
    end_.interrupted = true;
    if (ended_) return finish();
    request_end(options_.stop_signal ? options_.stop_signal() : SIGINT);
  }

  void request_end(int signal) {
    send_signal(signal);
    if (stage_ == Stage::running) enter(Stage::terminated, options_.stop_timeout);
  }

  void enter(Stage stage, std::chrono::milliseconds time) {
    stage_ = stage;
    deadline_ = Clock::now() + time;
  }

  // Drops the rest of the output.
  void finish() {
    if (!ended_) cut_off();
    ended_ = true;
    output_.discard();
    error_output_.discard();
  }

  // The command ends with its machine.
  void cut_off() {
    end_.cut_off = true;
    end_.signal = SIGKILL;
  }

  GuestSession& session_;
  const CommandOptions& options_;
  const std::chrono::milliseconds kill_timeout_;
  NonBlockingWriter output_;
  NonBlockingWriter error_output_;
  int signals_;
  bool input_open_;
  std::size_t unanswered_ = 0;
  guest::WindowPayload window_;
  Stage stage_ = Stage::running;
  Deadline deadline_;  ///< Of the stage.
  bool ended_ = false;
  bool has_more_ = false;  ///< Frames that have arrived.
  CommandEnd end_;
};

}  // namespace

CommandEnd run_command(GuestSession& session, const CommandOptions& options,
                       std::chrono::milliseconds kill_timeout) {
  return CommandSession(session, options, kill_timeout).run();
}

CommandEnd follow_command(GuestSession& session, const CommandOptions& options) {
  if (options.input < 0) session.send(FrameType::input);
  return CommandSession(session, options, kKillTimeout).follow();
}

}  // namespace pyro
