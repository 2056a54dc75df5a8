// From an environment to a machine that takes commands.
#include "vm/launch.h"

#include <unistd.h>

#include <cctype>

#include "store/last_use.h"
#include "vm/conversation.h"
#include "vm/initramfs.h"
#include "vm/kvm_probe.h"

namespace pyro {
namespace {

/// How long a machine that goes on from its state may take.
constexpr std::chrono::seconds kResumePatience{15};

/// What boots wherever anything does.
MachineShape safe_shape(MachineShape shape) {
  shape.accelerator = Accelerator::tcg;
  shape.type = MachineType::q35;
  return shape;
}

void require_monitor(const MachineOptions& options) {
  std::error_code none;
  if (std::filesystem::is_regular_file(options.monitor, none) &&
      ::access(options.monitor.c_str(), X_OK) == 0) {
    return;
  }
  throw Error(ErrorCode::failed,
              options.monitor.empty() ? "there is no qemu-system-x86_64 on this host"
                                      : "cannot run " + options.monitor.string(),
              "install it: apt install qemu-system-x86");
}

/// "debian-12": letters, digits and hyphens.
std::string host_name_for(std::string_view environment) {
  constexpr std::size_t kLongest = 63;
  std::string name;
  for (const char c : environment.substr(0, kLongest)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  }
  return name;
}

}  // namespace

MachineShape shape_for(const MachineOptions& options, const CacheLayout& layout) {
  MachineShape shape{
      .cpus = options.cpus, .memory_mib = options.memory_mib, .network = options.network};
  if (!options.without_kvm && probe_kvm(layout.root(), options.monitor).usable) {
    shape.accelerator = Accelerator::kvm;
    shape.type = MachineType::microvm;
  }
  return shape;
}

Launcher::Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop)
    : store_(store),
      environment_(store.options().catalog.require(name)),
      layout_(store.options().cache_dir),
      options_(options),
      progress_(progress != nullptr ? *progress : silence_),
      stop_(std::move(stop)),
      monitor_(options.monitor) {
  require_monitor(options);
}

HeldInstallation Launcher::hold() {
  const PullOptions pull{.progress = &progress_, .stop = stop_};
  while (true) {
    const InstalledEnvironment installed = store_.ensure_installed(environment_.name, pull);
    // A prune may have come in between.
    if (auto held = hold_installation(installed.install_dir, environment_)) {
      note_use(layout_, installed.install_dir.filename().string());
      return std::move(*held);
    }
  }
}

MachineShape Launcher::shape() const {
  return shape_for(options_, layout_);
}

LiveMachine Launcher::boot(const MachineShape& shape, const HeldInstallation& held,
                           std::optional<int> memory) {
  const MachineShape safe = safe_shape(shape);
  std::string why;
  try {
    return boot_once(shape, held, memory);
  } catch (const MachineLost& error) {
    // What ended by itself on the safe machine would do so again.
    if (shape == safe && error.message() != kNoSign) throw;
    why = error.what();
  }
  progress_.warning("the machine did not come up (" + why + "): trying another");
  LiveMachine live = boot_once(safe, held, memory);
  if (shape.accelerator == Accelerator::kvm) {
    remember_kvm(layout_.root(), options_.monitor,
                 {false, "/dev/kvm opens, but a guest did not come up: " + why});
  }
  return live;
}

LiveMachine Launcher::boot_once(const MachineShape& shape, const HeldInstallation& held,
                                std::optional<int> memory) {
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  return greet(shape, monitor_.boot(shape, files, memory), options_.boot_timeout);
}

LiveMachine Launcher::resume(const MachineShape& shape, const HeldInstallation& held,
                             const PreparedState& state) {
  ::lseek(state.devices.get(), 0, SEEK_SET);  // it is read as a stream
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  return greet(shape, monitor_.resume(shape, files, {state.memory.get(), state.devices.get()}),
               kResumePatience);
}

LiveMachine Launcher::greet(const MachineShape& shape, std::unique_ptr<Machine> machine,
                            std::chrono::milliseconds patience) {
  LiveMachine live{shape, std::move(machine), nullptr};
  live.link = std::make_unique<GuestLink>(*live.machine, stop_);
  begin_conversation(*live.link, host_name_for(environment_.name), Clock::now() + patience);
  return live;
}

}  // namespace pyro
