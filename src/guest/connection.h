// Connections to ports of the guest that the host has published.
#pragma once

#include <cstdint>
#include <memory>

#include "guest/session.h"

namespace pyro::guest {

/// Connects to a port of the loopback interface, by IPv4 and else by IPv6, and passes bytes on both
/// ways: `input` of the host, and `output` for it, each with an empty frame at its end.
[[nodiscard]] std::unique_ptr<Task> start_connection(Channel& channel, std::uint16_t session,
                                                     const ConnectPayload& connect);

}  // namespace pyro::guest
