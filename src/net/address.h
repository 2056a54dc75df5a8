// Whether an internet address is everybody's, or leads into this machine or the network around it.
//
// Source: IANA's registries of special-purpose addresses (RFC 6890, RFC 8190); section 1.A of the
// reliability notes.
#pragma once

#include <sys/socket.h>

#include <string_view>

namespace pyro {

/// Not loopback, link-local, private, shared, reserved or multicast; an IPv6 address that carries
/// an IPv4 one (mapped, NAT64, 6to4) is judged by that.
[[nodiscard]] bool is_public(const sockaddr& address);

/// The same for its text form; false for what is no address.
[[nodiscard]] bool is_public(std::string_view address) noexcept;

}  // namespace pyro
