// The machine as its init sees it: set-up, identity, errors.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>

#include "guest/protocol.h"

namespace pyro::guest {

class Channel;

[[noreturn]] void power_off();

/// Reports a fatal error to the host, when the channel is open, and on the console; then powers
/// off.
[[noreturn]] void give_up(std::string_view why);
[[noreturn]] void give_up(std::string_view what, int error_number);
/// The channel that give_up() reports to.
void report_to(Channel& channel);

/// Waits some seconds until `condition` holds: devices appear when their drivers are done.
template <typename Condition>
bool wait_for(Condition condition) {
  constexpr int kTries = 10'000;
  for (int i = 0; i < kTries; ++i) {
    if (condition()) return true;
    ::usleep(500);
  }
  return false;
}

/// Mounts /proc, /sys and /dev in the initramfs.
void mount_kernel_file_systems();

/// Loads the drivers in the initrd that the machine needs. A missing one may be built into the
/// kernel, and is no error. The driver of the disk stays away from it.
/// @return whether no driver has looked at the disk
[[nodiscard]] bool load_modules();
/// Lets the driver have the disk.
void release_disk();

/// Mounts the disk read-only with an overlay in memory or on the scratch disk, and makes that the
/// root.
void enter_root_file_system(bool has_scratch_disk);

/// The directory in the layer with what was written to the root file system.
inline constexpr const char* kSystemLayer = "upper";
/// That with the tree that a workspace was made with.
inline constexpr const char* kSeedLayer = "seed";
/// That with the changes to it.
inline constexpr const char* kChangesLayer = "changes";

/// A path in the layer of what was written, which the root file system hides.
[[nodiscard]] std::string path_in_layer(const char* name);

/// The root directory of the image, which the root file system hides, too.
[[nodiscard]] std::string path_in_image();

/// Mounts kWorkspace over the seed in the layer; does nothing where there is none. Returns errno,
/// or 0.
int mount_workspace();

/// Sets up the file systems, devices and limits that programs expect of a running system. Done
/// before the first session, so that a resumed machine has it. Failures are ignored: few programs
/// need all of it.
void complete_system(bool is_container);

/// Makes `target` if needed, and mounts. Returns errno, or 0.
int mount_at(const char* source, const char* target, const char* type, unsigned long flags,
             const char* options);

/// Whether this program writes that file, "etc/hosts", at each start: it describes this machine.
[[nodiscard]] bool is_own_file(std::string_view path);

/// Replaces a file of the image in /etc that describes this machine.
void write_own_file(const char* path, std::string_view content);

/// Writes /etc/hostname and /etc/hosts.
void write_names(const std::string& name);

/// Configures the loopback interface, and the network card, if any, for QEMU's user network.
void set_up_network(bool is_container);

/// Sets the properties in which machines that resume from one prepared state must differ: clock,
/// random numbers, name.
void begin_session(const StartPayload& start, const std::string& host_name);

}  // namespace pyro::guest
