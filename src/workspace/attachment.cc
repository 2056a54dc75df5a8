// The input of a client that is attached to a process.
#include "workspace/attachment.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <utility>

namespace pyro {
namespace {

constexpr char kCtrlP = 0x10;
constexpr char kCtrlQ = 0x11;

}  // namespace

AttachedInput::AttachedInput(int from, Fd to, bool is_terminal, std::function<void()> on_end,
                             std::function<void()> on_detach)
    : from_(from),
      to_(std::move(to)),
      is_terminal_(is_terminal),
      on_end_(std::move(on_end)),
      on_detach_(std::move(on_detach)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { pass_on(); }) {}

AttachedInput::~AttachedInput() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void AttachedInput::pass_on() {
  std::array<char, 16 << 10> piece;
  while (true) {
    std::array<pollfd, 2> ready{{{from_, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[1].revents != 0) return;
    const ssize_t got = ::read(from_, piece.data(), piece.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) {
      to_.reset();
      return on_end_();
    }
    if (!pass_on({piece.data(), static_cast<std::size_t>(got)})) return;
  }
}

bool AttachedInput::pass_on(std::string_view bytes) {
  std::string passed;
  for (const char key : bytes) {
    if (is_terminal_ && has_prefix_ && key == kCtrlQ) {
      on_detach_();
      return false;
    }
    if (std::exchange(has_prefix_, false)) passed += kCtrlP;
    has_prefix_ = is_terminal_ && key == kCtrlP;
    if (!has_prefix_) passed += key;
  }
  for (std::string_view rest = passed; !rest.empty();) {
    std::array<pollfd, 2> ready{{{to_.get(), POLLOUT, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[1].revents != 0) return false;
    // As much as fits at once.
    const ssize_t put =
        ::write(to_.get(), rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace pyro
