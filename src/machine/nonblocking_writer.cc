// Writes without blocking.
#include "machine/nonblocking_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/files.h"

namespace pyro {
namespace {

/// The least number of bytes that a pipe takes when poll(2) reports POLLOUT.
constexpr std::size_t kPipeMinimum = 4096;

// O_NONBLOCK of `fd` itself is shared with other processes, so it is reopened. And a terminal may
// block a writer although poll(2) reports POLLOUT.
Fd reopen_nonblocking(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return Fd(try_open(AT_FDCWD, path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY));
}

}  // namespace

NonBlockingWriter::NonBlockingWriter(int fd, std::optional<std::uint64_t> limit)
    : fd_(fd), room_(limit.value_or(std::numeric_limits<std::uint64_t>::max())) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return;
  if (S_ISSOCK(status.st_mode)) way_ = Way::socket;
  if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) return;
  own_ = reopen_nonblocking(fd);
  if (!own_) way_ = Way::in_pieces;  // it belongs to another user, or has no reader
}

void NonBlockingWriter::write(std::string_view bytes) {
  bytes = bytes.substr(0, room_);
  room_ -= bytes.size();
  if (idle() && !closed_) bytes.remove_prefix(put(bytes));
  if (!closed_) pending_ += bytes;
}

void NonBlockingWriter::flush() {
  written_ += put(std::string_view(pending_).substr(written_));
  if (!idle()) return;
  pending_.clear();
  written_ = 0;
}

void NonBlockingWriter::discard() noexcept {
  pending_.clear();
  written_ = 0;
  closed_ = true;
}

std::size_t NonBlockingWriter::put(std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (way_ == Way::in_pieces && !can_take_more()) break;
    const char* const data = bytes.data() + done;
    const std::size_t left = bytes.size() - done;
    const ssize_t n =
        way_ == Way::socket
            ? ::send(fd_, data, left, MSG_DONTWAIT | MSG_NOSIGNAL)
            : ::write(target(), data, way_ == Way::in_pieces ? std::min(left, kPipeMinimum) : left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      close(errno);
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  return closed_ ? 0 : done;
}

bool NonBlockingWriter::can_take_more() const {
  pollfd state{fd_, POLLOUT, 0};
  return ::poll(&state, 1, 0) == 1 && state.revents != 0;
}

void NonBlockingWriter::close(int error_number) {
  discard();
  reader_closed_ = true;
  if (error_number != EPIPE) {
    throw system_error("cannot write what the command says", error_number);
  }
}

}  // namespace pyro
