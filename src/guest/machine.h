// The machine as its init has it: how it is made ready, and how it ends.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>

#include "guest/protocol.h"

namespace pyro::guest {

class Channel;

[[noreturn]] void power_off();

/// Says why this machine is of no use: to the host when the channel is open, and on the console.
[[noreturn]] void give_up(std::string_view why);
[[noreturn]] void give_up(std::string_view what, int error_number);
/// The channel that give_up() reports to.
void report_to(Channel& channel);

/// Tries until `condition` holds, for some seconds: devices appear when their drivers are done.
template <typename Condition>
bool wait_for(Condition condition) {
  constexpr int kTries = 10'000;
  for (int i = 0; i < kTries; ++i) {
    if (condition()) return true;
    ::usleep(500);
  }
  return false;
}

/// /proc, /sys and /dev of the initramfs.
void mount_kernel_file_systems();

/// What the initrd brings of the drivers that a virtual machine needs. One that is missing may be
/// built into the kernel, and is no error here.
void load_modules();

/// Mounts the disk read-only, a throw-away layer in memory over it, and makes that the root.
void enter_root_file_system();

/// What programs expect of a running system: file systems, devices, limits.
void complete_system();

/// Returns errno, or 0. Makes `target` if it is not there.
int mount_at(const char* source, const char* target, const char* type, unsigned long flags,
             const char* options);

/// Puts a file of the machine's own in the place of the image's: one of /etc that says who and
/// where the machine is.
void write_own_file(const char* path, std::string_view content);

/// /etc/hostname and /etc/hosts.
void write_names(const std::string& name);

/// Interfaces: the loopback, and a network card where there is one, on QEMU's user network.
void set_up_network();

/// What has to differ between machines that go on from one saved state: the clock, the random
/// numbers to come, the name.
void wake_up(const StartPayload& start, const std::string& host_name);

}  // namespace pyro::guest
