// The end of a terminal's input.
#include "guest/end_of_input.h"

#include <dirent.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>

#include "guest/text.h"

namespace pyro::guest {
namespace {

constexpr int kMinLooks = 2;
constexpr int kMaxLooks = 20;
/// Without a reader that can be seen: 20 s.
constexpr int kLooksWithoutReader = 400;

long long milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

/// The descriptor that a process waits for in a system call, or -1. Of several the first is taken.
int awaited_descriptor(const std::string& process) {
  // "0 0x0 0x7ffd..." for read(0, ...), "running", or "-1 ..." outside of a call.
  const std::string text = read_file(process + "/syscall");
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) == 0) return -1;
  char* end = nullptr;
  switch (std::strtol(text.c_str(), &end, 10)) {
    case SYS_read:
    case SYS_readv:
      return static_cast<int>(std::strtol(end, nullptr, 16));
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      return STDIN_FILENO;
    default:
      return -1;
  }
}

/// Whether a process waits for keys. One that is still starting does not.
bool has_reader(int terminal) {
  struct stat wanted {};
  if (::fstat(terminal, &wanted) != 0) return false;
  bool found = false;
  DIR* const processes = ::opendir("/proc");
  while (processes != nullptr && !found) {
    const dirent* const entry = ::readdir(processes);
    if (entry == nullptr) break;
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    const std::string process = std::string("/proc/") + entry->d_name;
    const int awaited = awaited_descriptor(process);
    struct stat file {};
    found = awaited >= 0 &&
            ::stat((process + "/fd/" + std::to_string(awaited)).c_str(), &file) == 0 &&
            S_ISCHR(file.st_mode) && file.st_rdev == wanted.st_rdev;
  }
  if (processes != nullptr) ::closedir(processes);
  return found;
}

}  // namespace

void EndOfInput::look(int keys, int terminal) {
  if (milliseconds() < next_look_) return;
  next_look_ = milliseconds() + kLookInterval;
  pollfd unread{terminal, POLLIN, 0};
  const bool is_empty = ::poll(&unread, 1, 0) == 0;
  if (std::exchange(has_typed_, false)) {
    needed_ = is_empty ? kMinLooks : std::min(needed_ * 2, kMaxLooks);
    if (!is_empty) ::tcflush(terminal, TCIFLUSH);
    looks_ = 0;
    return;
  }
  looks_ = is_empty ? looks_ + 1 : 0;
  if (looks_ < needed_) return;
  if (looks_ >= kLooksWithoutReader || has_reader(terminal)) type(keys, terminal);
}

// Within a line the key ends that part of the line, and a second one is the end of file. For a
// program in raw mode it is the end of file in an empty line only.
void EndOfInput::type(int keys, int terminal) {
  termios settings{};
  if (::tcgetattr(terminal, &settings) != 0) return;
  const bool has_lines = (settings.c_lflag & ICANON) != 0;
  const bool is_within_line = last_input_ != '\n' && last_input_ != '\r';
  char key = static_cast<char>(settings.c_cc[VEOF]);
  if (!has_lines && is_within_line) key = '\n';
  if (key == _POSIX_VDISABLE) return;
  has_typed_ = ::write(keys, &key, 1) == 1 && !is_within_line;
  last_input_ = '\n';
  looks_ = 0;
}

}  // namespace pyro::guest
