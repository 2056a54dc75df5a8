// One of the standard streams, and what it can show.
#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

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
int write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      // Whoever shares the stream made it non-blocking.
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
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
  const int error = write_all(fd_, text);
  if (error == 0 || error == EPIPE) return;
  throw Error(ErrorCode::filesystem,
              "cannot write the output: " + std::generic_category().message(error));
}

void Terminal::try_write(std::string_view text) const noexcept {
  static_cast<void>(write_all(fd_, text));
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
    // The lowest free number is this one: those below are open by now. Output that is lost must not
    // go unnoticed: a directory in the place of standard output makes every write fail.
    const bool is_output = fd == STDOUT_FILENO;
    static_cast<void>(is_output ? ::open("/", O_RDONLY | O_DIRECTORY)
                                : ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY));
  }
}

}  // namespace pyro::cli
