// From an environment to a machine that takes commands.
#include "vm/launch.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/sparse_reader.h"
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

unsigned processors_of_host() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return kMostCpus;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

// Nothing of a machine that was tried before stays in it.
void make_empty(int memory, std::uint64_t size) {
  if (!set_size(memory, 0) || !set_size(memory, size)) {
    throw system_error("cannot make the memory file", errno);
  }
}

bool can_be_opened_for_writing(int file) {
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  return Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC)).get() >= 0;
}

Fd copy_in_memory(int file, const std::stop_token& stop) {
  constexpr const char* kMemoryName = "the memory of the machine";
  Fd copy = make_memory_file(kMemoryName);
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error(kMemoryName, errno);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  make_empty(copy.get(), size);
  std::uint64_t at = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    pwrite_all(copy.get(), bytes, at, kMemoryName);
    at += bytes.size();
  };
  read_sparse(file, size, kMemoryName, stop, {write, [&](std::uint64_t hole) { at += hole; }});
  return copy;
}

}  // namespace

MachineShape shape_for(const MachineOptions& options, const CacheLayout& layout) {
  MachineShape shape{
      .cpus = options.cpus, .memory_mib = options.memory_mib, .network = options.network};
  if (options.kvm == KvmUse::never) return shape;
  const KvmReport kvm = probe_kvm(layout.root(), options.monitor);
  if (kvm.usable()) {
    shape.accelerator = Accelerator::kvm;
    shape.type = MachineType::microvm;
  } else if (options.kvm == KvmUse::required) {
    throw Error(ErrorCode::failed, "KVM is required and does not work here: " + kvm.reason,
                "'pyro doctor' says what to do");
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
      stores_(store.options(), [this](std::string_view text) { progress_.warning(text); }),
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
    if (auto held = stores_.hold(environment_, installed.install_dir)) {
      if (installed.install_dir == layout().install_dir(environment_)) {
        note_use(layout(), installed.install_dir.filename().string());
      }
      return std::move(*held);
    }
  }
}

MachineShape Launcher::shape() {
  const MachineShape shape = shape_for(options_, layout());
  const unsigned processors = processors_of_host();
  if (shape.accelerator == Accelerator::tcg && shape.cpus > processors) {
    progress_.warning(fmt::format(
        "a machine of {} processors is slow in software on the {} of this host: use --cpus {}",
        shape.cpus, processors, processors));
  }
  return shape;
}

LiveMachine Launcher::boot(const MachineShape& asked, const HeldInstallation& held,
                           std::optional<int> memory) {
  const std::vector<MachineShape> ladder = ladder_from(asked);
  const auto end = Clock::now() + options_.boot_timeout;
  for (auto shape = ladder.begin();; ++shape) {
    const auto tries = ladder.end() - shape;
    try {
      return boot_once(*shape, held, memory, Clock::now() + (end - Clock::now()) / tries);
    } catch (MachineLost& lost) {
      if (tries == 1) {
        explain(lost, *shape);
        throw;
      }
      progress_.warning(std::string("the machine did not come up (") + lost.what() +
                        "): trying another");
    }
  }
}

void Launcher::explain(MachineLost& lost, const MachineShape& shape) const {
  if (shape.accelerator == Accelerator::kvm && options_.kvm != KvmUse::required) {
    lost.add_hint("PYRO_KVM=off runs it in software, which is no security boundary");
  }
  if (lost.loss() == Loss::silence) {
    lost.add_hint(
        fmt::format("it had {} s to boot; 'pyro doctor' says what this host can do",
                    std::chrono::ceil<std::chrono::seconds>(options_.boot_timeout).count()));
  }
}

LiveMachine Launcher::boot_once(const MachineShape& shape, const HeldInstallation& held,
                                std::optional<int> memory, Deadline deadline) {
  if (memory) make_empty(*memory, shape.memory_bytes());
  const Fd initramfs = make_initramfs(held.initrd.get());
  const MachineFiles files{held.kernel.get(), initramfs.get(), held.rootfs.get()};
  return greet(shape, monitor_->boot(shape, files, memory), deadline);
}

LiveMachine Launcher::resume(const HeldInstallation& held, const PreparedState& state) {
  ::lseek(state.devices.get(), 0, SEEK_SET);  // it is read as a stream
  const Fd stub = is_elf(held.kernel.get()) ? make_stub_kernel() : Fd();
  const MachineFiles files{.kernel = stub ? stub.get() : held.kernel.get(),
                           .rootfs = held.rootfs.get()};
  // QEMU opens it for writing even when it maps it privately. A cache may be read-only.
  const int memory = state.memory.get();
  const Fd copy = can_be_opened_for_writing(memory) ? Fd() : copy_in_memory(memory, stop_);
  const auto deadline = Clock::now() + kResumePatience;
  return greet(
      state.shape,
      monitor_->resume(state.shape, files, {copy ? copy.get() : memory, state.devices.get()},
                       {deadline, stop_}),
      deadline);
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
                            Deadline deadline) {
  if (const std::string gaps = monitor_->gaps(); !gaps.empty()) {
    progress_.note("the machine monitor runs without " + gaps +
                   ", which this system does not have");
  }
  LiveMachine live{shape, std::move(machine), nullptr};
  live.link = std::make_unique<GuestLink>(*live.machine, stop_);
  begin_conversation(*live.link, host_name_for(environment_.name), deadline);
  return live;
}

}  // namespace pyro
