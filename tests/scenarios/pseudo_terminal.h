// A terminal for pyro, with functions to type and to read the screen.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "scenarios/machine_harness.h"
#include "support/file_descriptor.h"
#include "support/spawn.h"

namespace pyro::testing {

inline constexpr unsigned short kTerminalWidths[] = {40, 80};

class PseudoTerminal {
 public:
  PseudoTerminal(unsigned short rows, unsigned short columns)
      : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    ::grantpt(master_.get());
    ::unlockpt(master_.get());
    slave_ = FileDescriptor(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    resize(rows, columns);
  }

  /// Starts `command` with this as its standard streams.
  pid_t start(const Command& command) const {
    return spawn(command.argv, command, {slave_.get(), slave_.get(), slave_.get()});
  }
  /// And as the terminal of its session, whose Ctrl-C is a signal.
  pid_t start_as_its_own(Command command) const {
    command.argv.insert(command.argv.begin(), {"/usr/bin/setsid", "--ctty", "--wait"});
    return start(command);
  }

  const std::string& seen() const { return seen_; }
  /// What came after the last time that a line was erased.
  std::string last_text() const {
    const std::size_t at = seen_.rfind(kErasure);
    return at == std::string::npos ? seen_ : seen_.substr(at + kErasure.size());
  }
  /// The columns of the longest line that was erased. Texts are ASCII.
  std::size_t widest_line() const {
    std::size_t widest = 0;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = seen_.find(kErasure, begin)) != std::string::npos;) {
      const std::size_t line = seen_.substr(begin, end - begin).rfind('\n') + 1;
      widest = std::max(widest, end - begin - line);
      begin = end + kErasure.size();
    }
    return widest;
  }

  void resize(unsigned short rows, unsigned short columns) {
    const winsize size{rows, columns, 0, 0};
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
  }
  void type(std::string_view keys) {
    EXPECT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  bool shows(const std::string& text) {
    return eventually([&] { return has_shown(text); });
  }
  bool has_shown(const std::string& text) {
    look();
    return seen_.find(text) != std::string::npos;
  }
  void look() {
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(master_.get(), piece, sizeof piece)) > 0;) {
      seen_.append(piece, static_cast<std::size_t>(got));
    }
  }
  /// Whether keys are turned into lines, as a terminal does by itself.
  bool is_cooked() const {
    termios modes{};
    ::tcgetattr(slave_.get(), &modes);
    return (modes.c_lflag & ICANON) != 0 && (modes.c_oflag & OPOST) != 0;
  }

 private:
  static constexpr std::string_view kErasure = "\r\x1b[K";

  FileDescriptor master_;
  FileDescriptor slave_;
  std::string seen_;
};

inline bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

/// Waits for its end.
inline int exit_code_of(pid_t pid) {
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace pyro::testing
