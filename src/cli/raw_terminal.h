// A terminal whose keys all go to a guest.
#pragma once

#include <termios.h>

namespace pyro::cli {

/// While it lives, `fd` hands over every key as it is pressed, Ctrl-C too, and shows none. Does
/// nothing to what is no terminal.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  int fd_ = -1;
  termios before_{};
};

}  // namespace pyro::cli
