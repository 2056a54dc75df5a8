// For tests: a terminal whose text can be read back.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "cli/terminal.h"

namespace pyro::cli {

class CapturedTerminal {
 public:
  explicit CapturedTerminal(Terminal::Abilities abilities = {})
      : fd_(::memfd_create("terminal", MFD_CLOEXEC)), terminal_(fd_, abilities) {}
  ~CapturedTerminal() { ::close(fd_); }
  CapturedTerminal(const CapturedTerminal&) = delete;
  CapturedTerminal& operator=(const CapturedTerminal&) = delete;

  [[nodiscard]] const Terminal& terminal() const noexcept { return terminal_; }

  /// What was written since the last call.
  [[nodiscard]] std::string take() {
    std::string text(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    text.resize(static_cast<std::size_t>(::pread(fd_, text.data(), text.size(), 0)));
    static_cast<void>(!::ftruncate(fd_, 0));
    ::lseek(fd_, 0, SEEK_SET);
    return text;
  }

 private:
  int fd_;
  Terminal terminal_;
};

}  // namespace pyro::cli
