// Warm-up: what a machine does before its state is saved, so that no run has to do it.
#pragma once

#include "machine/guest_session.h"
#include "store/installation.h"

namespace pyro {

/// Whether the guest runs commands; of a container image, which need not have any program, whether
/// it answers.
/// @throws Error(failed) when it does not; as GuestSession::next()
void check_guest(GuestConnection& guest, bool is_container, const std::stop_token& stop);

/// Has the guest read its programs into memory, checks it, and waits until it rests: background
/// work of the boot would go on in each machine that resumes.
/// @throws as check_guest()
void warm_up(GuestConnection& guest, const InstallRecord& record, const std::stop_token& stop);

}  // namespace pyro
