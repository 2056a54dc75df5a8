// Sessions: the requests of the host, any number of them at the same time.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "guest/channel.h"

namespace pyro::guest {

/// Sends the frames of one session, within the window that the host grants.
class SessionWriter {
 public:
  SessionWriter(Channel& channel, std::uint16_t session) : channel_(channel), session_(session) {}

  void write(FrameType type, std::string_view payload = {}) {
    channel_.write(session_, type, payload);
    if (takes_window(type)) take(payload.size());
  }

  template <typename Payload>
  void write_fixed(FrameType type, const Payload& fixed, std::string_view rest = {}) {
    channel_.write_fixed(session_, type, fixed, rest);
    if (takes_window(type)) take(sizeof fixed + rest.size());
  }

  /// As Channel::forward().
  long forward(FrameType type, int fd, std::size_t most = kStreamPiece, bool reads_often = false) {
    const long got = channel_.forward(session_, type, fd, most, reads_often);
    if (got > 0) take(static_cast<std::size_t>(got));
    return got;
  }

  void grant(std::uint32_t bytes) { window_ += bytes; }
  /// Of another host, which has received nothing yet.
  void reset_window() { window_ = kOutputWindow; }

  /// Whether the largest frame may be sent.
  [[nodiscard]] bool has_window() const { return window_ >= kHeaderSize + kStreamPiece; }

 private:
  void take(std::size_t bytes) { window_ -= kHeaderSize + bytes; }

  Channel& channel_;
  const std::uint16_t session_;
  std::size_t window_ = kOutputWindow;
};

/// What a session does. It never waits by itself.
class Task {
 public:
  static constexpr std::size_t kMaxWatched = 3;

  Task(Channel& channel, std::uint16_t session) : writer_(channel, session) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  /// A frame of the host.
  virtual void obey(FrameType type, std::string_view payload) = 0;

  /// Sets the descriptors to wait for; those that are not set have none.
  virtual void watch(pollfd (&)[kMaxWatched]) const {}
  /// The milliseconds to wait at most; -1 for any time.
  [[nodiscard]] virtual int patience() const { return -1; }
  /// After each wait.
  virtual void go_on(const pollfd (&)[kMaxWatched]) {}

  /// The process of its command, or -1.
  [[nodiscard]] virtual pid_t process() const { return -1; }
  /// Whether all other processes are to end with it.
  [[nodiscard]] virtual bool ends_all() const { return false; }
  /// That process has ended.
  virtual void note_end(int /*status*/) {}

  void grant(std::uint32_t bytes) { writer_.grant(bytes); }
  void reset_window() { writer_.reset_window(); }
  /// Whether its last frame is sent.
  [[nodiscard]] bool has_ended() const { return has_ended_; }

 protected:
  void end() { has_ended_ = true; }

  SessionWriter writer_;  // NOLINT(*-non-private-member-variables-in-classes)

 private:
  bool has_ended_ = false;
};

/// Serves the host until the machine ends.
[[noreturn]] void serve_sessions(Channel& channel);

}  // namespace pyro::guest
