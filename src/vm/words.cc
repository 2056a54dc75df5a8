#include "vm/words.h"

#include <unistd.h>

#include <array>
#include <cerrno>

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

}  // namespace pyro
