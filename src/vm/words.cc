#include "vm/words.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace pyro {

void Words::take_in() {
  constexpr std::size_t kKept = 4096;
  constexpr int kReads = 16;  // whoever never stops talking must not keep us from all else
  std::array<char, kKept> piece;
  for (int i = 0; source_ && i < kReads; ++i) {
    const ssize_t got = ::read(source_.get(), piece.data(), piece.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return source_.reset();
    last_.append(piece.data(), static_cast<std::size_t>(got));
    if (last_.size() > kKept) last_.erase(0, last_.size() - kKept);
  }
}

SocketPair make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

std::string telling_line(const std::string& text) {
  for (const std::string_view beginning : {"Kernel panic", "pyro: "}) {
    const std::size_t at = text.find(beginning);
    if (at != text.npos) return first_line(text.substr(at));
  }
  const std::size_t end = text.find_last_not_of("\r\n ");
  if (end == text.npos) return {};
  const std::size_t before = text.find_last_of("\r\n", end);
  return text.substr(before == text.npos ? 0 : before + 1, end - before);
}

}  // namespace pyro
