// The guest's end of the channel to pyro: frames in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "guest/protocol.h"

namespace pyro::guest {

struct Frame {
  FrameType type{};
  std::uint16_t session = kControlSession;
  std::string_view payload;  ///< Valid until the next frame is read.
};

/// Removes the fixed part from `payload` and returns it. The host is trusted to send it complete.
template <typename Payload>
Payload fixed_part(std::string_view& payload) {
  Payload result{};
  const std::size_t size = payload.size() < sizeof result ? payload.size() : sizeof result;
  std::memcpy(&result, payload.data(), size);
  payload.remove_prefix(size);
  return result;
}

/// Blocking in both directions. A broken channel cannot be reported, so it ends the machine.
///
/// Frames out are collected until flush(), or until they fill a buffer of the port: each write(2)
/// is a message to the host, and a wait for it.
class Channel {
 public:
  /// Finds the port, and waits for it to appear in /dev.
  void open();

  [[nodiscard]] int descriptor() const { return port_; }

  Frame read();
  /// Whether read() returns a frame without waiting.
  [[nodiscard]] bool has_frame() const;

  void write(std::uint16_t session, FrameType type, std::string_view payload = {});
  void write(std::uint16_t session, FrameType type, const void* fixed, std::size_t fixed_size,
             std::string_view rest = {});

  template <typename Payload>
  void write_fixed(std::uint16_t session, FrameType type, const Payload& fixed,
                   std::string_view rest = {}) {
    write(session, type, &fixed, sizeof fixed, rest);
  }

  /// Reads from `fd` once, or as often as it has more, and sends what it read in one frame of at
  /// most `most` bytes.
  /// @return the result of read(2), or the number of bytes
  long forward(std::uint16_t session, FrameType type, int fd, std::size_t most = kStreamPiece,
               bool reads_often = false);

  void flush();

 private:
  /// Of the port.
  static constexpr std::size_t kBuffer = kStreamPiece + kHeaderSize;

  [[nodiscard]] std::size_t unread() const { return in_end_ - in_begin_; }
  void fill(std::size_t size);
  void reserve(std::size_t size);

  int port_ = -1;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::size_t out_size_ = 0;
  char in_[kHeaderSize + kMaxPayload];
  char out_[kBuffer];
};

}  // namespace pyro::guest
