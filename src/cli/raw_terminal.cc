// A terminal whose keys all go to a guest.
#include "cli/raw_terminal.h"

#include <termios.h>

#include <atomic>

namespace pyro::cli {
namespace {

// A signal handler reaches nothing but globals.
std::atomic<int> raw_fd{-1};
termios before;

}  // namespace

RawTerminal::RawTerminal(int fd) {
  if (::tcgetattr(fd, &before) != 0) return;
  raw_fd = fd;
  termios raw = before;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd, TCSANOW, &raw);
}

RawTerminal::~RawTerminal() {
  give_terminal_back();
}

// At once: what was written is on its way as it is, and a terminal that was stopped (Ctrl-S) may
// never show it.
void give_terminal_back() noexcept {
  const int fd = raw_fd.exchange(-1);
  if (fd >= 0) ::tcsetattr(fd, TCSANOW, &before);
}

}  // namespace pyro::cli
