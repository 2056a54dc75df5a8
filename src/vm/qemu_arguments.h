// QEMU's command line for a machine.
#pragma once

#include <string>
#include <vector>

#include "vm/monitor.h"

namespace pyro {

/// Under which numbers QEMU has what it is given; no argument has a path in it.
enum class QemuDescriptor { channel, console, control, kernel, initramfs, rootfs, memory, devices };

enum class QemuStart {
  boot,
  boot_to_save,  ///< The memory is in a file, which is written to.
  resume,        ///< The memory is in a file, which is not.
};

[[nodiscard]] std::vector<std::string> qemu_arguments(const MachineShape& shape, QemuStart start);

/// For a machine as others are, that has little memory and nothing but the stub kernel
/// (vm/stub_kernel.h), as its first descriptor, and runs it with KVM.
[[nodiscard]] std::vector<std::string> qemu_probe_arguments();

/// The commands (QMP) that make a machine that was started for it go on from its state.
[[nodiscard]] std::string qemu_resume_commands();
inline constexpr int kQemuResumeCommands = 3;

}  // namespace pyro
