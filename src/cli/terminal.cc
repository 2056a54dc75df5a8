// Terminals, over isatty(3) and termios(3).
#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::red:
      return "31";
    case Colour::green:
      return "32";
    case Colour::yellow:
      return "33";
    case Colour::bold:
      return "1";
    case Colour::dim:
      return "2";
  }
  return "0";
}

/// 0, or the errno of the write that failed.
int write_fully(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      // Another process that shares the stream made it non-blocking.
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

bool is_utf8(const Variables& variables) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto locale = variables(name);
    if (locale)
      return locale->find("UTF-8") != locale->npos || locale->find("utf8") != locale->npos;
  }
  return false;
}

// Globals, as a signal handler uses them.
std::atomic<int> raw_fd{-1};
termios cooked;

constexpr std::size_t kMaxInput = std::size_t{64} << 10;
constexpr int kStopPollInterval = 100;  // ms

/// Switches echo off for its lifetime; the end of the line is still shown.
class HiddenInput {
 public:
  explicit HiddenInput(bool wanted) {
    if (!wanted || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    is_set_ = true;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    hidden.c_lflag |= ECHONL;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  ~HiddenInput() {
    if (is_set_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  bool is_set_ = false;
  termios before_{};
};

/// Returns false at the end of the input. Polls first: a read is restarted after a signal, and
/// would not see `stop`.
bool read_piece(std::string& text, const std::stop_token& stop) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  while (::poll(&input, 1, kStopPollInterval) <= 0) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  }
  std::array<char, 4096> piece{};
  const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
  if (n < 0 && errno != EINTR && errno != EAGAIN) {
    throw Error(ErrorCode::filesystem,
                "cannot read standard input: " + std::generic_category().message(errno));
  }
  if (n > 0) text.append(piece.data(), static_cast<std::size_t>(n));
  if (text.size() > kMaxInput) throw Error(ErrorCode::usage, "what was given is no password");
  return n != 0;
}

std::string without_line_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

std::size_t Terminal::width() const noexcept {
  winsize size{};
  if (::ioctl(fd_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string Terminal::paint(Colour colour, std::string_view text) const {
  if (!abilities_.colour) return std::string(text);
  return std::string("\x1b[").append(code_of(colour)).append("m").append(text).append("\x1b[0m");
}

void Terminal::write(std::string_view text) const {
  const int error = write_fully(fd_, text);
  if (error == 0 || error == EPIPE) return;
  throw Error(ErrorCode::filesystem,
              "cannot write the output: " + std::generic_category().message(error));
}

void Terminal::try_write(std::string_view text) const noexcept {
  static_cast<void>(write_fully(fd_, text));
}

bool Terminal::is_terminal() const noexcept {
  return cli::is_terminal(fd_);
}

bool is_terminal(int fd) noexcept {
  return ::isatty(fd) == 1;
}

void fill_standard_streams() noexcept {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // open() returns this number, as all lower ones are in use by now. A directory in place of
    // standard output makes every write fail, so that lost output is noticed.
    const bool is_output = fd == STDOUT_FILENO;
    // Without O_CLOEXEC: programs that pyro starts inherit their standard streams.
    // NOLINTBEGIN(android-cloexec-open)
    static_cast<void>(is_output ? ::open("/", O_RDONLY | O_DIRECTORY)
                                : ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY));
    // NOLINTEND(android-cloexec-open)
  }
}

Terminal standard_terminal(int fd, const Variables& variables) {
  const bool interactive = is_terminal(fd) && variables("TERM").value_or("dumb") != "dumb";
  return Terminal(fd, {.interactive = interactive,
                       .colour = interactive && !variables("NO_COLOR"),
                       .unicode = is_utf8(variables)});
}

RawTerminal::RawTerminal(int fd) {
  if (::tcgetattr(fd, &cooked) != 0) return;
  raw_fd = fd;
  termios raw = cooked;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd, TCSANOW, &raw);
}

RawTerminal::~RawTerminal() {
  restore_terminal();
}

// TCSANOW: waiting for output to drain would block on a terminal stopped with Ctrl-S.
void restore_terminal() noexcept {
  const int fd = raw_fd.exchange(-1);
  if (fd >= 0) ::tcsetattr(fd, TCSANOW, &cooked);
}

std::string ask(const Terminal& terminal, const std::string& question, Answer answer,
                const std::stop_token& stop) {
  const HiddenInput hidden(answer == Answer::hidden);
  terminal.try_write(question);
  std::string line;
  while (!line.ends_with('\n')) {
    if (!read_piece(line, stop)) throw Error(ErrorCode::usage, "nothing was given");
  }
  return without_line_end(std::move(line));
}

std::string read_secret(const std::stop_token& stop) {
  std::string text;
  while (read_piece(text, stop)) {
  }
  return without_line_end(std::move(text));
}

}  // namespace pyro::cli
