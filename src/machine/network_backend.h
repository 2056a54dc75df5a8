// Networks of guests that a process beside the monitor makes: passt.
//
// Source: passt(1), RFC 826 (ARP).
#pragma once

#include <filesystem>
#include <memory>

#include "pyro/machine.h"

namespace pyro {

class NetworkBackend {
 public:
  virtual ~NetworkBackend() = default;

  /// The socket for the monitor: Ethernet frames, each behind its length as 32 bits in network byte
  /// order.
  [[nodiscard]] virtual int guest_end() const noexcept = 0;
  /// The monitor has it: the network ends with the monitor.
  virtual void close_guest_end() noexcept = 0;
};

/// Of every guest with a network. Its addresses stand in guest/protocol.h.
inline constexpr const char* kGuestMac = "52:54:00:12:34:56";

/// Starts that of `network`, and waits until it answers. Null for none, and for one that the
/// monitor makes itself. It ends with the thread that started it.
/// @throws Error(failed) where it does not start; the hint names user+host
[[nodiscard]] std::unique_ptr<NetworkBackend> start_network(GuestNetwork network);

/// passt: in the directories of $PATH; empty where there is none. Not safe while another thread
/// sets variables.
[[nodiscard]] std::filesystem::path find_passt();

}  // namespace pyro
