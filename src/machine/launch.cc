// From an environment to a machine that takes commands.
#include "machine/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>

#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "base/files.h"
#include "base/fs_verity.h"
#include "machine/initramfs.h"
#include "machine/saved_states.h"
#include "machine/scratch_disk.h"
#include "machine/state_save.h"
#include "machine/warm_up.h"
#include "store/base_kernel.h"
#include "store/installation.h"
#include "store/locks.h"

namespace pyro {
namespace {

constexpr std::chrono::seconds kResumeTimeout{15};

constexpr unsigned kEnvironmentMemoryMib = 512;
constexpr unsigned kContainerMemoryMib = 2048;

void require_possible(const MachineOptions& options) {
  if (options.cpus < 1 || options.cpus > kMaxCpus) {
    throw Error(ErrorCode::usage, fmt::format("a machine has from 1 to {} processors, not {}",
                                              kMaxCpus, options.cpus));
  }
  const bool is_default = options.memory_mib == 0;
  if (!is_default && (options.memory_mib < kMinMemoryMib || options.memory_mib > kMaxMemoryMib)) {
    throw Error(ErrorCode::usage, fmt::format("a machine has from {} to {} MiB of memory, not {}",
                                              kMinMemoryMib, kMaxMemoryMib, options.memory_mib));
  }
  const bool has_disk = options.disk_mib != 0;
  if (has_disk && (options.disk_mib < kMinDiskMib || options.disk_mib > kMaxDiskMib)) {
    throw Error(ErrorCode::usage, fmt::format("a scratch disk has from {} to {} MiB, not {}",
                                              kMinDiskMib, kMaxDiskMib, options.disk_mib));
  }
}

/// "debian-12": letters, digits and hyphens.
std::string host_name_for(std::string_view text) {
  constexpr std::size_t kMaxHostName = 63;
  std::string name;
  for (const char c : text.substr(0, kMaxHostName)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  }
  return name;
}

/// Installs nothing.
/// @throws Error(not_found)
InstallLease lease_with_kernel(InstallLease container, Base base, const Stores& stores) {
  if (base.environment == nullptr) return with_kernel(std::move(container), std::move(base));
  auto of_base = stores.acquire_lease(*base.environment);
  if (of_base) return with_kernel(std::move(container), std::move(*of_base));
  throw Error(ErrorCode::not_found, "its base " + base.name() + " is not installed");
}

unsigned processors_of_host() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return kMaxCpus;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

// Removes the content of a machine that failed.
void make_empty(int memory, std::uint64_t size) {
  if (!set_size(memory, 0) || !set_size(memory, size)) {
    throw system_error("cannot make the memory file", errno);
  }
}

}  // namespace

MachineConfig config_for(const MachineOptions& options, EnvironmentKind kind,
                         const MachineMonitor& monitor, const CacheLayout& layout) {
  const bool is_container = kind == EnvironmentKind::container;
  const unsigned default_memory = is_container ? kContainerMemoryMib : kEnvironmentMemoryMib;
  MachineConfig config{.cpus = options.cpus,
                       .memory_mib = options.memory_mib != 0 ? options.memory_mib : default_memory,
                       .disk_mib = options.disk_mib,
                       .network = options.network,
                       .is_container = is_container};
  if (options.kvm == KvmUse::never) return config;
  const KvmReport kvm = monitor.probe_kvm(layout.root());
  if (kvm.usable()) {
    config.accelerator = Accelerator::kvm;
  } else if (options.kvm == KvmUse::required) {
    throw Error(ErrorCode::failed, "KVM is required and does not work here: " + kvm.reason,
                "'pyro doctor' says what to do");
  }
  return config;
}

Launcher::Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop)
    : Launcher(store, name, options, progress, std::move(stop), make_monitor(options.monitor)) {}

Launcher::Launcher(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop,
                   std::unique_ptr<MachineMonitor> monitor)
    : Launcher(store, store.options().catalog.require(name), options, progress, std::move(stop),
               std::move(monitor), nullptr) {}

Launcher::Launcher(EnvironmentStore& store, const KeptMachine& kept, const MachineOptions& options,
                   ProgressListener* progress, std::stop_token stop)
    : Launcher(store, kept.environment, options, progress, std::move(stop),
               make_monitor(options.monitor), &kept) {}

Launcher::Launcher(EnvironmentStore& store, const Environment& environment,
                   const MachineOptions& options, ProgressListener* progress, std::stop_token stop,
                   std::unique_ptr<MachineMonitor> monitor, const KeptMachine* kept)
    : store_(store),
      environment_(environment),
      stores_(store.options(), [this](std::string_view text) { progress_.warning(text); }),
      options_(options),
      states_(stores_.cache(), options),
      progress_(progress != nullptr ? *progress : silence_),
      stop_(std::move(stop)),
      monitor_(std::move(monitor)),
      kept_(kept) {
  require_possible(options_);
}

Launcher::~Launcher() = default;

InstallLease Launcher::acquire_lease() {
  InstallLease lease = lease_of(environment_);
  if (environment_.kind == EnvironmentKind::environment) return lease;
  Base base = Bases(store_.options(), stores_).choose(environment_, options_.base);
  if (base.environment == nullptr) return with_kernel(std::move(lease), std::move(base));
  return with_kernel(std::move(lease), lease_of(*base.environment));
}

InstallLease Launcher::lease_of(const Environment& environment) {
  const PullOptions pull{.progress = &progress_, .stop = stop_};
  while (true) {
    const InstalledEnvironment installed = store_.ensure_installed(environment.name, pull);
    // A prune may have removed it meanwhile.
    if (auto lease = stores_.acquire_lease(environment, installed.install_dir)) {
      if (installed.install_dir == layout().install_dir(environment)) {
        note_use(layout(), installed.install_dir.filename().string());
      }
      return std::move(*lease);
    }
  }
}

MachineConfig Launcher::config() {
  const MachineConfig config = config_for(options_, environment_.kind, *monitor_, layout());
  const unsigned processors = processors_of_host();
  if (config.accelerator == Accelerator::tcg && config.cpus > processors) {
    progress_.warning(fmt::format(
        "a machine of {} processors is slow in software on the {} of this host: use --cpus {}",
        config.cpus, processors, processors));
  }
  return config;
}

StateSave* Launcher::begin_save(const StateKey& key) {
  try {
    return saves_.emplace_back(std::make_unique<StateSave>(states_, key)).get();
  } catch (const Error& error) {
    progress_.note(std::string("the state of the machine is not saved: ") + error.what());
    return nullptr;
  }
}

LiveMachine Launcher::start(const MachineConfig& asked, const InstallLease& lease,
                            std::optional<int> memory) {
  const StateKey kernel{lease, asked, *monitor_, StateKind::kernel};
  return start_from(kernel, states_.find(kernel), memory);
}

LiveMachine Launcher::start_from(const StateKey& kernel, const StateLookup& lookup,
                                 std::optional<int> memory) {
  if (lookup.state) {
    if (auto live = try_resume(kernel.lease, *lookup.state, MachineStart::kernel_state, memory)) {
      return std::move(*live);
    }
  }
  const bool is_to_be_saved = !memory && !lookup.is_impossible && options_.saves_states;
  StateSave* const save = is_to_be_saved ? begin_save(kernel) : nullptr;
  return save != nullptr ? boot_and_save_kernel(kernel, *save)
                         : boot(kernel.asked, kernel.lease, memory);
}

LiveMachine Launcher::boot_and_save_kernel(const StateKey& key, StateSave& save) {
  LiveMachine live = try_configs(key.asked, [&](const MachineConfig& config, Deadline deadline) {
    return boot_kernel(config, key.lease, save.memory(), deadline);
  });
  try {
    save_kernel(live, key, save);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    progress_.warning(std::string("the state of the kernel is not saved (") + error.what() +
                      "): booting once more");
    return boot(key.asked, key.lease);
  }
  enter_root(live, Clock::now() + options_.boot_timeout);
  return live;
}

void Launcher::save_kernel(const LiveMachine& live, const StateKey& key, StateSave& save) {
  if (!live.waits_without_disk) return save.note_impossible(live.config, key);
  const auto failure = save.save(live, key, {Clock::now() + kSaveTimeout, stop_});
  if (failure) progress_.note(std::string("the kernel's state is not saved: ") + failure->what());
}

LiveMachine Launcher::start_and_prepare(const StateKey& key) {
  StateKey kernel = key;
  kernel.kind = StateKind::kernel;
  const StateLookup lookup = states_.find(kernel);
  // That of the kernel comes first: more machines need it.
  const bool needs_kernel = !lookup.state && !lookup.is_impossible;
  StateSave* const save = needs_kernel ? nullptr : begin_save(key);
  if (save == nullptr) return start_from(kernel, lookup, std::nullopt);
  LiveMachine live = start_from(kernel, lookup, save->memory());
  try {
    prepare_in_passing(live, key, *save);
    return live;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    progress_.warning(std::string("the machine is not saved (") + error.what() +
                      "): starting another");
  }
  return start(key.asked, key.lease);
}

void Launcher::prepare_in_passing(LiveMachine& live, const StateKey& key, StateSave& save) {
  try {
    warm_up(*live.guest, key.lease.installation.record, stop_);
  } catch (const MachineLost&) {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    return progress_.note(std::string("the machine is not saved: ") + error.what());
  }
  const auto failure = save.save(live, key, {Clock::now() + kSaveTimeout, stop_});
  if (!failure) return progress_.prepared(environment_.name);
  progress_.note(std::string("the machine is not saved: ") + failure->what());
}

LiveMachine Launcher::boot(const MachineConfig& asked, const InstallLease& lease,
                           std::optional<int> memory) {
  return try_configs(asked, [&](const MachineConfig& config, Deadline deadline) {
    LiveMachine live = boot_kernel(config, lease, memory, deadline);
    enter_root(live, deadline);
    return live;
  });
}

LiveMachine Launcher::try_configs(const MachineConfig& asked, const BootOne& boot_one) {
  const std::vector<MachineConfig> configs = monitor_->candidates(asked);
  const auto end = Clock::now() + options_.boot_timeout;
  for (auto config = configs.begin();; ++config) {
    const auto tries = configs.end() - config;
    try {
      return boot_one(*config, Clock::now() + (end - Clock::now()) / tries);
    } catch (MachineLost& lost) {
      if (tries == 1) {
        explain(lost, *config);
        throw;
      }
      progress_.warning(std::string("the machine did not come up (") + lost.what() +
                        "): trying another type of machine");
    }
  }
}

void Launcher::explain(MachineLost& lost, const MachineConfig& config) const {
  if (config.accelerator == Accelerator::kvm && options_.kvm != KvmUse::required) {
    lost.add_hint("PYRO_KVM=off runs it in software, which is no security boundary");
  }
  if (lost.loss() == Loss::silence) {
    lost.add_hint(
        fmt::format("it had {} s to boot; 'pyro doctor' says what this host can do",
                    std::chrono::ceil<std::chrono::seconds>(options_.boot_timeout).count()));
  }
}

LiveMachine Launcher::boot_kernel(const MachineConfig& config, const InstallLease& lease,
                                  std::optional<int> memory, Deadline deadline) {
  Fd own_memory = memory_file(memory);
  if (own_memory) make_empty(own_memory.get(), config.memory_bytes());
  const Fd initramfs = make_initramfs(lease.initrd.get());
  Fd scratch = scratch_disk(config, -1);
  MachineFiles files = files_of(lease, scratch, MachineStart::boot);
  files.initramfs = initramfs.get();
  const auto to_save = own_memory ? std::optional(own_memory.get()) : std::nullopt;
  LiveMachine live = connect(config, [&] { return monitor_->boot(config, files, to_save); });
  live.scratch = std::move(scratch);
  live.memory = std::move(own_memory);
  live.waits_without_disk = wait_for_kernel(*live.control, deadline);
  return live;
}

LiveMachine Launcher::resume(const InstallLease& lease, const PreparedState& state,
                             MachineStart start, std::optional<int> memory) {
  Fd scratch = scratch_disk(state.config, state.disk.get());
  const MachineFiles files = files_of(lease, scratch, start);
  Fd own_memory = memory_file(memory);
  if (own_memory) copy_sparse(state.memory.get(), own_memory.get(), kMemorySubject, stop_);
  const bool can_be_saved = static_cast<bool>(own_memory);
  const StateFiles from{can_be_saved ? own_memory.get() : state.memory.get(), state.devices.get()};
  const auto deadline = Clock::now() + kResumeTimeout;
  LiveMachine live = connect(state.config, [&] {
    return monitor_->resume(state.config, files, from, can_be_saved, {deadline, stop_});
  });
  live.start = start;
  live.scratch = std::move(scratch);
  live.memory = std::move(own_memory);
  if (start == MachineStart::kernel_state)
    enter_root(live, deadline);
  else
    begin_session(live, deadline);
  return live;
}

std::optional<LiveMachine> Launcher::try_resume(const InstallLease& lease,
                                                const PreparedState& state, MachineStart start,
                                                std::optional<int> memory) {
  try {
    return resume(lease, state, start, memory);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    const bool is_kernel = start == MachineStart::kernel_state;
    progress_.warning(std::string(is_kernel ? "the kernel's state" : "the prepared state") +
                      " does not work (" + error.what() + "): booting" +
                      (is_kernel ? "" : "; make it anew with 'pyro prepare --force'"));
    return std::nullopt;
  }
}

std::optional<LiveMachine> Launcher::try_resume_saved(const MachineConfig& asked) {
  try {
    const StateKey key{kept_->lease, asked, *monitor_, StateKind::kept};
    return resume_saved(config_of_saved_machine(*kept_->saved, key));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    progress_.warning(kept_->name + " cannot go on where it was (" + error.what() +
                      "): it starts from its disk, without its processes");
    kept_->saved->forget();
    return std::nullopt;
  }
}

// Not to be interrupted once its memory is used up.
LiveMachine Launcher::resume_saved(const MachineConfig& config) {
  const SavedMachine& saved = *kept_->saved;
  Fd scratch = scratch_disk(config, -1);
  Fd memory = make_memory_file(kMemorySubject);
  const Fd devices = make_memory_file("the state of its devices");
  make_empty(memory.get(), config.memory_bytes());
  const MachineFiles files = files_of(kept_->lease, scratch, MachineStart::saved_machine);
  const auto deadline = Clock::now() + kResumeTimeout;
  const StateFiles from{memory.get(), devices.get(), [&] {
                          load_saved_machine(saved, memory.get(), devices.get(), stop_);
                          saved.forget();
                        }};
  LiveMachine live = connect(config, [&] {
    return monitor_->resume(config, files, from, true, {deadline, {}});
  });
  live.start = MachineStart::saved_machine;
  live.scratch = std::move(scratch);
  live.memory = std::move(memory);
  for (const std::uint16_t number : saved.sessions) live.guest->adopt_session(number);
  begin_session(live, deadline);
  return live;
}

Fd Launcher::memory_file(std::optional<int> memory) const {
  if (memory) return duplicate(*memory);
  return kept_ != nullptr ? make_memory_file(kMemorySubject) : Fd();
}

LiveMachine Launcher::connect(const MachineConfig& config,
                              const GuestConnection::StartMachine& start) {
  if (const std::string gaps = monitor_->gaps(); !gaps.empty()) {
    progress_.note("the machine monitor runs without " + gaps +
                   ", which this system does not have");
  }
  LiveMachine live{.config = config, .guest = std::make_unique<GuestConnection>(start)};
  live.control = std::make_unique<GuestSession>(*live.guest, stop_, GuestSession::Control());
  return live;
}

Fd Launcher::scratch_disk(const MachineConfig& config, int saved) const {
  if (config.disk_mib == 0) return {};
  if (kept_ != nullptr) {
    if (kept_->is_new)
      fill_scratch_disk(layout(), config.disk_mib, saved, kept_->disk.get(), stop_);
    return duplicate(kept_->disk.get());
  }
  return saved >= 0 ? copy_scratch_disk(layout(), saved, stop_)
                    : make_scratch_disk(layout(), config.disk_mib, stop_);
}

MachineFiles Launcher::files_of(const InstallLease& lease, const Fd& scratch,
                                MachineStart start) const {
  return {.kernel = lease.kernel.get(),
          .rootfs = lease.rootfs.get(),
          .scratch = scratch.get(),
          .keeps_scratch = kept_ != nullptr,
          .label = machine_label(environment_.name, start)};
}

std::string Launcher::host_name() const {
  return host_name_for(kept_ != nullptr ? kept_->name : environment_.name);
}

void Launcher::enter_root(LiveMachine& live, Deadline deadline) const {
  const bool is_container = environment_.kind == EnvironmentKind::container;
  guest::RootPayload root;
  root.is_container = is_container ? 1 : 0;
  root.has_scratch_disk = live.scratch ? 1 : 0;
  live.control->send_fixed(guest::FrameType::root, root);
  handshake(*live.control, host_name(), deadline);
}

void Launcher::begin_session(LiveMachine& live, Deadline deadline) const {
  handshake(*live.control, host_name(), deadline);
}

std::string_view to_string(Readiness readiness) noexcept {
  switch (readiness) {
    case Readiness::cold:
      return "cold";
    case Readiness::warm:
      return "warm";
    case Readiness::stale:
      return "stale";
  }
  return "cold";
}

ReadinessReport machine_readiness(const EnvironmentStore& store, std::string_view name,
                                  const MachineOptions& options) {
  const Environment& environment = store.options().catalog.require(name);
  const Stores stores(store.options());
  const CacheLayout& layout = stores.cache();
  ReadinessReport report;
  auto lease = stores.acquire_lease(environment);
  report.installed = lease.has_value();
  if (!lease) {
    report.reasons.emplace_back("it is not installed");
    return report;
  }
  MachineConfig config;
  std::unique_ptr<MachineMonitor> monitor;
  try {
    monitor = make_monitor(options.monitor);
    if (environment.kind == EnvironmentKind::container) {
      lease = lease_with_kernel(std::move(*lease),
                                Bases(store.options(), stores).choose(environment, options.base),
                                stores);
    }
    config = config_for(options, environment.kind, *monitor, layout);
  } catch (const Error& error) {
    report.reasons.emplace_back(error.what());
    return report;
  }
  StateKey key{*lease, config, *monitor};
  const SavedStates states(layout, options);
  StateLookup lookup = states.find(key);
  if (lookup.state) {
    report.readiness = Readiness::warm;
  } else if (lookup.exists) {
    report.readiness = Readiness::stale;
    report.reasons = std::move(lookup.differences);
  } else {
    report.reasons.emplace_back("no machine was prepared");
  }
  if (lookup.state) return report;
  key.kind = StateKind::kernel;
  const StateLookup kernel = states.find(key);
  if (kernel.state) report.reasons.emplace_back("a run goes on from the state of its kernel");
  if (kernel.is_impossible) {
    report.reasons.emplace_back(
        "its kernel has the driver of disks built in, so each run boots it");
  }
  return report;
}

}  // namespace pyro
