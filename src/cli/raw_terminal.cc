// A terminal whose keys all go to a guest.
#include "cli/raw_terminal.h"

namespace pyro::cli {

RawTerminal::RawTerminal(int fd) {
  if (::tcgetattr(fd, &before_) != 0) return;
  fd_ = fd;
  termios raw = before_;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd_, TCSANOW, &raw);
}

RawTerminal::~RawTerminal() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSADRAIN, &before_);
}

}  // namespace pyro::cli
