// Whether a machine does what it is for: commands run, and its network reaches the host.
#pragma once

#include "vm/guest_link.h"

namespace pyro {

/// Runs a program that every environment has, for its effects on nothing but caches.
/// @throws Error(failed) when it does not work; as run_command()
void run_trivial(GuestLink& link);

/// Has a guest on the user network connect to a port of this host's.
/// @throws Error(failed)
void prove_network(GuestLink& link);

}  // namespace pyro
