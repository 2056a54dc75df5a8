// From an environment to a machine that takes commands.
#include "vm/launch.h"

#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <iterator>

#include "base/whole_calls.h"
#include "store/last_use.h"
#include "vm/conversation.h"
#include "vm/initramfs.h"
#include "vm/kvm_probe.h"
#include "vm/machine_ladder.h"
#include "vm/qemu.h"
#include "vm/stub_kernel.h"

namespace pyro {
namespace {

/// How long a machine that goes on from its state may take.
constexpr std::chrono::seconds kResumePatience{15};

void require_possible(const MachineOptions& options) {
  if (options.cpus < 1 || options.cpus > kMostCpus) {
    throw Error(ErrorCode::usage, fmt::format("a machine has from 1 to {} processors, not {}",
                                              kMostCpus, options.cpus));
  }
  if (options.memory_mib < kLeastMemoryMib || options.memory_mib > kMostMemoryMib) {
    throw Error(ErrorCode::usage, fmt::format("a machine has from {} to {} MiB of memory, not {}",
                                              kLeastMemoryMib, kMostMemoryMib, options.memory_mib));
  }
}

std::unique_ptr<MachineMonitor> make_monitor(const MachineOptions& options) {
  std::error_code none;
  if (std::filesystem::is_regular_file(options.monitor, none) &&
      ::access(options.monitor.c_str(), X_OK) == 0) {
    return std::make_unique<Qemu>(options.monitor);
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

/// QEMU chooses by that how the guest is to find its kernel, which is part of the machine.
bool is_elf(int kernel) {
  std::array<char, SELFMAG> magic{};
  return ::pread(kernel, magic.data(), magic.size(), 0) == SELFMAG &&
         std::string_view(magic.data(), magic.size()) == ELFMAG;
}

// Nothing of a machine that was tried before stays in it.
void make_empty(int memory, std::uint64_t size) {
  if (!set_size(memory, 0) || !set_size(memory, size)) {
    throw system_error("cannot make the memory file", errno);
  }
}

}  // namespace

MachineShape shape_for(const MachineOptions& options, const CacheLayout& layout) {
  MachineShape shape{
      .cpus = options.cpus, .memory_mib = options.memory_mib, .network = options.network};
  if (!options.without_kvm && probe_kvm(layout.root(), options.monitor).usable()) {
    shape.accelerator = Accelerator::kvm;
    shape.type = MachineType::microvm;
  }
  return shape;
}

Launcher::Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop)
    : Launcher(store, name, options, progress, std::move(stop), make_monitor(options)) {}

Launcher::Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop,
                   std::unique_ptr<MachineMonitor> monitor)
    : store_(store),
      environment_(store.options().catalog.require(name)),
      layout_(store.options().cache_dir),
      options_(options),
      progress_(progress != nullptr ? *progress : silence_),
      stop_(std::move(stop)),
      monitor_(std::move(monitor)) {
  require_possible(options_);
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

LiveMachine Launcher::boot(const MachineShape& asked, const HeldInstallation& held,
                           std::optional<int> memory) {
  std::vector<MachineLost> losses;
  const std::vector<MachineShape> ladder = ladder_from(asked);
  for (auto shape = ladder.begin();; ++shape) {
    try {
      LiveMachine live = boot_once(*shape, held, memory);
      if (shape->accelerator != asked.accelerator) judge_kvm(losses);
      return live;
    } catch (const MachineLost& lost) {
      const auto next = std::next(shape);
      // What ended by itself would do so again on the same machine.
      if (next == ladder.end() || (*next == *shape && lost.loss() != Loss::silence)) throw;
      progress_.warning(std::string("the machine did not come up (") + lost.what() +
                        "): trying another");
      losses.push_back(lost);
    }
  }
}

// By then a guest has come up without KVM. One that ended by itself with it has run there, too:
// what it lacked says nothing of other environments.
void Launcher::judge_kvm(const std::vector<MachineLost>& losses) const {
  const auto has_run = [](const MachineLost& lost) { return lost.loss() == Loss::end; };
  if (std::ranges::any_of(losses, has_run)) return;
  remember_kvm(layout_.root(), options_.monitor,
               {.trouble = KvmTrouble::broken,
                .reason = std::string("/dev/kvm opens, but a guest did not come up: ") +
                          losses.back().what()});
}

LiveMachine Launcher::boot_once(const MachineShape& shape, const HeldInstallation& held,
                                std::optional<int> memory) {
  if (memory) make_empty(*memory, shape.memory_bytes());
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  return greet(shape, monitor_->boot(shape, files, memory), options_.boot_timeout);
}

LiveMachine Launcher::resume(const HeldInstallation& held, const PreparedState& state) {
  ::lseek(state.devices.get(), 0, SEEK_SET);  // it is read as a stream
  const Fd stub = is_elf(held.kernel.get()) ? make_stub_kernel() : Fd();
  const MachineFiles files{.kernel = stub ? stub.get() : held.kernel.get(),
                           .rootfs = held.rootfs.get()};
  return greet(state.shape,
               monitor_->resume(state.shape, files, {state.memory.get(), state.devices.get()}),
               kResumePatience);
}

std::optional<LiveMachine> Launcher::try_resume(const HeldInstallation& held,
                                                const PreparedState& state) {
  try {
    return resume(held, state);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    progress_.warning(std::string("the prepared state does not work (") + error.what() +
                      "): booting; make it anew with 'pyro prepare --force'");
    return std::nullopt;
  }
}

LiveMachine Launcher::greet(const MachineShape& shape, std::unique_ptr<Machine> machine,
                            std::chrono::milliseconds patience) {
  if (const std::string gaps = monitor_->gaps(); !gaps.empty()) {
    progress_.note("the machine monitor runs without " + gaps +
                   ", which this system does not have");
  }
  LiveMachine live{shape, std::move(machine), nullptr};
  live.link = std::make_unique<GuestLink>(*live.machine, stop_);
  begin_conversation(*live.link, host_name_for(environment_.name), Clock::now() + patience);
  return live;
}

}  // namespace pyro
