// Writes a stream of a guest to a descriptor of the host without ever blocking in write(2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/files.h"

namespace pyro {

class NonBlockingWriter {
 public:
  /// `fd` is not owned. Bytes beyond `limit` are dropped.
  NonBlockingWriter(int fd, std::optional<std::uint64_t> limit);

  /// Writes as much as possible without blocking, and keeps the rest.
  /// @throws Error(filesystem), but not when the reader has closed its end
  void write(std::string_view bytes);

  /// The descriptor to poll for POLLOUT: -1 while nothing is pending.
  [[nodiscard]] int poll_fd() const noexcept { return idle() ? -1 : target(); }
  [[nodiscard]] bool idle() const noexcept { return pending() == 0; }
  /// Bytes that are not written yet.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size() - written_; }

  /// Writes pending bytes, when poll(2) reports POLLOUT.
  void flush();

  /// Drops pending and further bytes.
  void discard() noexcept;

  /// Whether the reader has closed its end; true once.
  bool consume_closed() noexcept { return std::exchange(reader_closed_, false); }

 private:
  /// How to write without blocking.
  enum class Way {
    plain,      ///< It does not block: a file, or a non-blocking description of our own.
    socket,     ///< With MSG_DONTWAIT.
    in_pieces,  ///< Only as much as poll(2) promises.
  };

  [[nodiscard]] int target() const noexcept { return own_ ? own_.get() : fd_; }
  std::size_t put(std::string_view bytes);
  [[nodiscard]] bool can_take_more() const;
  void close(int error_number);

  int fd_;
  Fd own_;
  Way way_ = Way::plain;
  std::uint64_t room_;
  bool closed_ = false;
  bool reader_closed_ = false;
  std::string pending_;
  std::size_t written_ = 0;  ///< Of `pending_`.
};

}  // namespace pyro
