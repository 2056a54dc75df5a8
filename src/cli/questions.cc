// What a person is asked for, or a pipe brings instead.
#include "cli/questions.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kLongest = std::size_t{64} << 10;
constexpr int kLookAtStop = 100;  // ms

/// While it lives, what is typed is not shown; its line end is.
class Hidden {
 public:
  explicit Hidden(bool wanted) {
    if (!wanted || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    is_set_ = true;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    hidden.c_lflag |= ECHONL;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  ~Hidden() {
    if (is_set_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  bool is_set_ = false;
  termios before_{};
};

/// False at the end of the input. A read that is interrupted by a signal begins anew, so it is not
/// begun before there is something.
bool read_piece(std::string& text, const std::stop_token& stop) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  while (::poll(&input, 1, kLookAtStop) <= 0) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  }
  std::array<char, 4096> piece{};
  const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
  if (n < 0 && errno != EINTR && errno != EAGAIN) {
    throw Error(ErrorCode::filesystem,
                "cannot read standard input: " + std::generic_category().message(errno));
  }
  if (n > 0) text.append(piece.data(), static_cast<std::size_t>(n));
  if (text.size() > kLongest) throw Error(ErrorCode::usage, "what was given is no password");
  return n != 0;
}

std::string without_line_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

std::string ask(const Terminal& terminal, const std::string& question, Answer answer,
                const std::stop_token& stop) {
  const Hidden hidden(answer == Answer::hidden);
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
