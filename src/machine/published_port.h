// A port of the host whose connections go to a port of the guest, over the channel of the machine:
// so it needs no network of the guest.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "machine/guest_connection.h"
#include "pyro/machine.h"

namespace pyro {

class PublishedPort {
 public:
  /// The most connections at a time. Further ones wait until the host accepts them.
  static constexpr std::size_t kMaxConnections = 256;

  /// Listens, and lets connections wait.
  /// @throws Error(usage) for an address that is none; (failed) where it cannot listen
  explicit PublishedPort(const PortOptions& options);
  /// Ends its connections.
  ~PublishedPort();
  PublishedPort(const PublishedPort&) = delete;
  PublishedPort& operator=(const PublishedPort&) = delete;

  /// With the port that was chosen.
  [[nodiscard]] const PortOptions& options() const noexcept { return options_; }

  /// Accepts connections from now on. `guest` must outlive it.
  void serve(GuestConnection& guest);

 private:
  struct Connection {
    std::jthread thread;
    bool has_ended = false;
  };

  void accept_connections(GuestConnection& guest, const std::stop_token& stop);
  void begin_connection(GuestConnection& guest);
  /// Returns whether there is room for another.
  [[nodiscard]] bool remove_ended();

  PortOptions options_;
  Fd listener_;
  Fd wake_up_;  ///< An eventfd: a connection has ended, or the port is to be closed.
  std::mutex mutex_;
  std::list<Connection> connections_;
  std::jthread acceptor_;
};

}  // namespace pyro
