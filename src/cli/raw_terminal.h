// A terminal whose keys all go to a guest.
#pragma once

namespace pyro::cli {

/// While it lives, `fd` hands over every key as it is pressed, Ctrl-C too, and shows none. Does
/// nothing to what is no terminal. At most one at a time.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
};

/// Gives a terminal back that a RawTerminal has, before a signal handler ends the process.
void give_terminal_back() noexcept;

}  // namespace pyro::cli
