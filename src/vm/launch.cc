// Which machine an environment gets, and how it comes up.
#include "vm/launch.h"

#include <unistd.h>

#include <cctype>

#include "vm/conversation.h"
#include "vm/initramfs.h"

namespace pyro {
namespace {

LiveMachine boot_once(MachineMonitor& monitor, const MachineShape& shape,
                      const HeldInstallation& held, std::optional<int> memory,
                      std::chrono::milliseconds patience, const std::stop_token& stop) {
  const Deadline deadline = Clock::now() + patience;
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  LiveMachine live{shape, monitor.boot(shape, files, memory), nullptr};
  live.link = std::make_unique<GuestLink>(*live.machine, stop);
  begin_conversation(*live.link, host_name_for(held.installation.record.name), deadline);
  return live;
}

}  // namespace

MachineShape shape_for(const MachineOptions& options, const std::filesystem::path& cache_dir) {
  MachineShape shape{.cpus = options.cpus, .memory_mib = options.memory_mib,
                     .network = options.network};
  if (!options.without_kvm && probe_kvm(cache_dir).usable) {
    shape.accelerator = Accelerator::kvm;
    shape.type = MachineType::microvm;
  }
  return shape;
}

MachineShape safe_shape(MachineShape shape) {
  shape.accelerator = Accelerator::tcg;
  shape.type = MachineType::q35;
  return shape;
}

void require_monitor(const MachineOptions& options) {
  if (!options.monitor.empty() && ::access(options.monitor.c_str(), X_OK) == 0) return;
  throw Error(ErrorCode::failed,
              options.monitor.empty() ? "there is no qemu-system-x86_64 on this host"
                                      : "cannot run " + options.monitor.string(),
              "install it: apt install qemu-system-x86");
}

std::string host_name_for(std::string_view environment) {
  constexpr std::size_t kLongest = 63;
  std::string name;
  for (const char c : environment.substr(0, kLongest)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  }
  return name;
}

LiveMachine boot_machine(MachineMonitor& monitor, const MachineShape& shape,
                         const HeldInstallation& held, std::optional<int> memory,
                         std::chrono::milliseconds patience, const std::stop_token& stop,
                         const std::function<void(std::string_view)>& warn) {
  try {
    return boot_once(monitor, shape, held, memory, patience, stop);
  } catch (const MachineLost& error) {
    // What ended by itself on the safe machine would do so again.
    const bool timed_out = error.message() == kNoSign;
    if (shape == safe_shape(shape) && !timed_out) throw;
    warn(std::string("the machine did not come up (") + error.what() + "): trying another");
  }
  return boot_once(monitor, safe_shape(shape), held, memory, patience, stop);
}

LiveMachine resume_machine(MachineMonitor& monitor, const MachineShape& shape,
                           const HeldInstallation& held, const PreparedState& state,
                           std::chrono::milliseconds patience, const std::stop_token& stop) {
  const Deadline deadline = Clock::now() + patience;
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  LiveMachine live{shape,
                   monitor.resume(shape, files, {state.memory.get(), state.devices.get()}),
                   nullptr};
  live.link = std::make_unique<GuestLink>(*live.machine, stop);
  begin_conversation(*live.link, host_name_for(held.installation.record.name), deadline);
  return live;
}

}  // namespace pyro
