// Where a stream of a guest goes on the host. It is never waited for in write(2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/files.h"

namespace pyro {

class Outlet {
 public:
  /// `fd` is not owned. What comes after `limit` bytes is dropped.
  Outlet(int fd, std::optional<std::uint64_t> limit);

  /// Writes what can be written now, and keeps the rest.
  /// @throws Error(filesystem) when that fails, but for a reader that is gone
  void add(std::string_view bytes);

  /// What to poll: -1 while there is nothing to write.
  [[nodiscard]] int wanted() const noexcept { return idle() ? -1 : target(); }
  [[nodiscard]] bool idle() const noexcept { return waiting() == 0; }
  /// Bytes that its reader has yet to take.
  [[nodiscard]] std::size_t waiting() const noexcept { return pending_.size() - written_; }

  /// Once poll(2) says that it can be written to.
  void drain();

  /// Nothing more is written, nor what waits for it.
  void abandon() noexcept;

  /// Whether the reader has just gone away; true once.
  bool went_away() noexcept { return std::exchange(went_away_, false); }

 private:
  /// How to write without a wait.
  enum class Way {
    plain,      ///< It cannot be waited for: a file, or an open description that is ours alone.
    socket,     ///< It can be told each time.
    in_pieces,  ///< Only what poll(2) promises.
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
  bool went_away_ = false;
  std::string pending_;
  std::size_t written_ = 0;  ///< Of what is pending.
};

}  // namespace pyro
