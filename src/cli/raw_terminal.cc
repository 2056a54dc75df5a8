// A terminal whose keys all go to a guest.
#include "cli/raw_terminal.h"

namespace pyro::cli {

RawTerminal::RawTerminal(int fd) : fd_(::tcgetattr(fd, &before_) == 0 ? fd : -1) {
  if (fd_ < 0) return;
  termios raw = before_;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd_, TCSANOW, &raw);
}

RawTerminal::~RawTerminal() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSADRAIN, &before_);
}

}  // namespace pyro::cli
