// The end of a terminal's input.
#include "guest/end_of_input.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

constexpr int kLeastLooks = 2;
constexpr int kMostLooks = 20;

long long milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

/// Whether nothing runs but this program: a shell that is still starting reads no keys yet.
bool all_others_wait() {
  const Descriptor file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  char text[128] = {};
  if (::read(file.get(), text, sizeof text - 1) <= 0) return true;
  // "0.00 0.00 0.00 1/60 123": of those that run now, this is one.
  return std::strstr(text, " 1/") != nullptr;
}

}  // namespace

void EndOfInput::look(int keys, int terminal) {
  if (milliseconds() < next_look_) return;
  next_look_ = milliseconds() + kLookInterval;
  pollfd unread{terminal, POLLIN, 0};
  const bool is_empty = ::poll(&unread, 1, 0) == 0;
  if (std::exchange(has_typed_, false)) {
    patience_ = is_empty ? kLeastLooks : std::min(patience_ * 2, kMostLooks);
    if (!is_empty) ::tcflush(terminal, TCIFLUSH);
    looks_ = 0;
    return;
  }
  looks_ = is_empty ? looks_ + 1 : 0;
  // Where something runs all the time, it does not count.
  if (looks_ >= patience_ && (all_others_wait() || looks_ > 2 * kMostLooks)) type(keys, terminal);
}

// A terminal ends part of a line with that key, and says the end of file with the next one. To a
// program that reads every key itself, it is the end of file in an empty line only.
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
