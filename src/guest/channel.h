// The guest's end of the channel to pyro: frames in and out.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "guest/protocol.h"

namespace pyro::guest {

struct Frame {
  FrameType type{};
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
class Channel {
 public:
  /// Finds the port, and waits for it to appear in /dev.
  void open();

  [[nodiscard]] int descriptor() const { return port_; }

  Frame read();

  void write(FrameType type, std::string_view payload = {});
  void write(FrameType type, const void* fixed, std::size_t fixed_size, std::string_view rest = {});

  template <typename Payload>
  void write_fixed(FrameType type, const Payload& fixed, std::string_view rest = {}) {
    write(type, &fixed, sizeof fixed, rest);
  }

  /// Reads up to kStreamPiece from `fd` and sends it on.
  /// @return the result of read(2).
  long forward(FrameType type, int fd);

 private:
  void write_all(const char* bytes, std::size_t size);
  void read_all(void* bytes, std::size_t size);

  int port_ = -1;
  char in_[kMaxPayload + 1];
  char out_[sizeof(FrameHeader) + kMaxPayload];
};

}  // namespace pyro::guest
