// A machine that a program holds.
#include "machine/held_machine.h"

#include <fmt/format.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "base/errors.h"
#include "base/files.h"
#include "base/fs_verity.h"
#include "base/subprocess.h"
#include "machine/state_save.h"

namespace pyro {
namespace {

constexpr int kTimedOut = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalled = 128;

constexpr std::string_view kEmulated = "no KVM: emulated";

CommandReport report_of(const CommandEnd& end) {
  if (end.refused == guest::kNoSuchUser) {
    throw Error(ErrorCode::failed, end.refusal + ": the image has no such user or group");
  }
  CommandReport report{.exit_code = end.signal != 0 ? kSignalled + end.signal : end.code,
                       .signal = end.signal,
                       .timed_out = end.timed_out,
                       .interrupted = end.interrupted,
                       .is_stuck = end.cut_off};
  if (end.refused != 0) {
    report.exit_code = end.refused == ENOENT ? kNotFound : kNotExecutable;
    report.refusal = system_error(end.refusal, end.refused).what();
  }
  if (end.timed_out) report.exit_code = kTimedOut;
  return report;
}

/// A disk of the host may be slow.
constexpr std::chrono::minutes kSyncTimeout{1};

Note note_for(const CopyOptions& options) {
  return [progress = options.progress](std::string_view text) {
    if (progress != nullptr) progress->warning(text);
  };
}

Timeout copy_timeout(const CopyOptions& options) {
  Timeout timeout{kCopyIdleTimeout};
  if (options.timeout) timeout.end = Clock::now() + *options.timeout;
  return timeout;
}

/// Those of paths below / that are in kWorkspace, relative to that; nothing if none is.
std::optional<std::vector<std::string>> paths_in_workspace(const std::vector<std::string>& paths) {
  const std::string directory = std::string(guest::kWorkspace).substr(1);
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    if (path.empty() || path == directory) return std::vector<std::string>();
    if (path.starts_with(directory + '/')) found.push_back(path.substr(directory.size() + 1));
  }
  if (found.empty() && !paths.empty()) return std::nullopt;
  return found;
}

}  // namespace

HeldMachine::HeldMachine(EnvironmentStore& store, std::string_view name,
                         const MachineOptions& options, const StartOptions& start)
    : options_(options), launcher_(store, name, options_, start.progress, start.stop) {
  const auto begin = Clock::now();
  take_ports(start);
  lease_ = launcher_.acquire_lease();
  start_live(start, begin);
}

HeldMachine::HeldMachine(EnvironmentStore& store, KeptMachine kept, const MachineOptions& options,
                         const StartOptions& start)
    : options_(options),
      kept_(std::move(kept)),
      launcher_(store, *kept_, options_, start.progress, start.stop) {
  const auto begin = Clock::now();
  take_ports(start);
  start_live(start, begin);
}

const InstallLease& HeldMachine::lease() const noexcept {
  return kept_ ? kept_->lease : lease_;
}

void HeldMachine::take_ports(const StartOptions& start) {
  for (const PortOptions& port : start.ports) {
    ports_.push_back(std::make_unique<PublishedPort>(port));
  }
}

void HeldMachine::start_live(const StartOptions& start, Clock::time_point begin) {
  live_ = start_machine(start);
  for (const auto& port : ports_) port->serve(*live_.guest);
  const Environment& environment = launcher_.environment();
  info_ = {.environment = environment.name,
           .version = environment.version,
           .start = live_.start,
           .accelerator = live_.config.accelerator,
           .cpus = live_.config.cpus,
           .memory_mib = live_.config.memory_mib,
           .ready_after = elapsed_since(begin)};
  for (const auto& port : ports_) info_.ports.push_back(port->options());
  if (start.progress == nullptr) return;
  for (const PortOptions& port : info_.ports) {
    start.progress->published(port.address, port.port, port.guest_port);
  }
}

LiveMachine HeldMachine::start_machine(const StartOptions& start) {
  const MachineConfig config = launcher_.config();
  if (kept_ && kept_->saved) {
    const RunningOperation operation(start.progress, {.name = "resuming", .subject = kept_->name});
    if (auto live = launcher_.try_resume_saved(config)) return std::move(*live);
  }
  const StateKey key{lease(), config, launcher_.monitor()};
  // A prepared state has seen another disk.
  const bool fits_prepared = !start.cold && (!kept_ || kept_->is_new);
  bool had_state = false;
  if (fits_prepared) {
    if (auto live = try_resume(key, start, had_state)) return std::move(*live);
  }
  const RunningOperation operation(
      start.progress,
      {.name = "booting",
       .subject = launcher_.environment().name,
       .detail = config.accelerator == Accelerator::tcg ? kEmulated : std::string_view()});
  if (start.cold) return launcher_.boot(config, lease());
  const bool prepares = fits_prepared && options_.saves_states &&
                        (had_state || launcher_.states().was_started_before(key));
  return prepares ? launcher_.start_and_prepare(key) : launcher_.start(config, lease());
}

std::optional<LiveMachine> HeldMachine::try_resume(const StateKey& key, const StartOptions& start,
                                                   bool& had_state) {
  const StateLookup lookup = launcher_.states().find(key);
  had_state = lookup.exists;
  if (!lookup.state) {
    report_cold_start(lookup);
    return std::nullopt;
  }
  const RunningOperation operation(start.progress,
                                   {.name = "resuming", .subject = launcher_.environment().name});
  return launcher_.try_resume(lease(), *lookup.state);
}

// A state that does not match is a warning: its user expects a fast start.
void HeldMachine::report_cold_start(const StateLookup& lookup) {
  const std::string& name = launcher_.environment().name;
  if (!lookup.exists) {
    launcher_.progress().note("no state of " + name + " was prepared for this shape of machine");
    return;
  }
  launcher_.progress().warning(fmt::format(
      "{}: its prepared state is stale: {}{}", name, fmt::join(lookup.differences, "; "),
      options_.saves_states ? "" : "; 'pyro prepare " + name + "' makes it again"));
}

CommandOptions HeldMachine::with_config(CommandOptions options) const {
  const bool is_container = launcher_.environment().kind == EnvironmentKind::container;
  const ContainerConfig config =
      is_container ? lease().installation.record.config.value_or(ContainerConfig())
                   : ContainerConfig();
  std::vector<std::string>& command = options.command;
  const bool is_default = command.empty();
  if (is_default) command = config.command;
  if (is_default || options.entrypoint) {
    command.insert(command.begin(), config.entrypoint.begin(), config.entrypoint.end());
  }
  if (command.empty() && !is_container) {
    throw Error(ErrorCode::usage, "there is no command to run");
  }
  if (command.empty()) {
    throw Error(ErrorCode::usage, "the image names no command to run",
                "put it after the name: pyro run " + info_.environment + " -- COMMAND");
  }
  options.variables.insert(options.variables.begin(), config.env.begin(), config.env.end());
  if (options.user.empty()) options.user = config.user;
  if (options.end_signal == 0) options.end_signal = signal_number(config.stop_signal);
  if (is_container) options.make_directory = true;
  if (is_container && options.directory.empty()) {
    options.directory = config.working_directory.empty() ? "/" : config.working_directory;
  }
  return options;
}

CommandReport HeldMachine::run(const CommandOptions& asked) {
  GuestSession session(*live_.guest, asked.stop);
  return run(session, asked);
}

std::unique_ptr<GuestSession> HeldMachine::open_session(const std::stop_token& stop) {
  return std::make_unique<GuestSession>(*live_.guest, stop);
}

std::unique_ptr<GuestSession> HeldMachine::open_session(std::uint16_t saved,
                                                        const std::stop_token& stop) {
  return std::make_unique<GuestSession>(*live_.guest, stop, GuestSession::Adopted{saved});
}

CommandReport HeldMachine::follow(GuestSession& session, const CommandOptions& options) {
  return report_of(follow_command(session, options));
}

CommandReport HeldMachine::run(GuestSession& session, const CommandOptions& asked) {
  const CommandOptions options = with_config(asked);
  const auto begin = Clock::now();
  CommandReport report = report_of(run_command(session, options));
  report.command_time = elapsed_since(begin);
  return report;
}

std::size_t HeldMachine::copy_in(const Copy& copy, const CopyOptions& options) {
  GuestSession session(*live_.guest, options.stop);
  return pyro::copy_in(session, copy, note_for(options), copy_timeout(options), options.progress);
}

void HeldMachine::copy_out(const Copy& copy, const CopyOptions& options, TreeRules* rules) {
  GuestSession session(*live_.guest, options.stop);
  pyro::copy_out(session, copy, note_for(options), copy_timeout(options), options.progress, rules);
}

std::size_t HeldMachine::seed(const SeedOptions& seed, const CopyOptions& options) {
  GuestSession session(*live_.guest, options.stop);
  SeedOptions owned = seed;
  if (const auto& config = lease().installation.record.config) owned.user = config->user;
  return send_seed(session, owned, note_for(options), copy_timeout(options), options.progress);
}

void HeldMachine::copy_changes(const std::string& directory, const std::vector<std::string>& paths,
                               bool whole_system, const CopyOptions& options) {
  for (const auto& [which, name] :
       {std::pair(ChangedFiles::before, "/a"), std::pair(ChangedFiles::after, "/b")}) {
    const auto copy = [&, which = which](const ChangesScope& scope, const std::string& to) {
      GuestSession session(*live_.guest, options.stop);
      pyro::copy_changes(session, which, scope, to, note_for(options), copy_timeout(options),
                         options.progress);
    };
    if (!whole_system) {
      copy({.paths = paths}, directory + name);
      continue;
    }
    copy({.paths = paths, .of_system = true}, directory + name);
    if (const auto below = paths_in_workspace(paths)) {
      copy({.paths = *below}, directory + name + guest::kWorkspace);
    }
  }
}

void HeldMachine::copy_files(const std::vector<std::string>& paths, const std::string& to,
                             const CopyOptions& options) {
  GuestSession session(*live_.guest, options.stop);
  pyro::copy_files(session, paths, to, note_for(options), copy_timeout(options));
}

void HeldMachine::archive_system(int to, const CopyOptions& options) {
  GuestSession session(*live_.guest, options.stop);
  pyro::archive_system(session, to, copy_timeout(options), options.progress);
}

void HeldMachine::replace_files(const std::string& from, const std::vector<std::string>& removed,
                                const CopyOptions& options) {
  GuestSession session(*live_.guest, options.stop);
  pyro::replace_files(session, from, removed, note_for(options), copy_timeout(options));
}

void HeldMachine::sync() {
  GuestSession session(*live_.guest, {});
  session.send(guest::FrameType::sync);
  const GuestFrame frame = session.next(Clock::now() + kSyncTimeout);
  if (frame.type != guest::FrameType::done) refuse_frame();
}

std::uint16_t HeldMachine::publish(const PortOptions& options) {
  auto port = std::make_unique<PublishedPort>(options);
  port->serve(*live_.guest);
  const std::lock_guard lock(ports_mutex_);
  return ports_.emplace_back(std::move(port))->options().port;
}

SaveReport HeldMachine::save(const SaveTarget& to, AfterSave after,
                             const std::function<void()>& while_held, const char* why) {
  const std::lock_guard lock(save_mutex_);
  sync();  // first: the machine stands still for a shorter time
  const auto begin = Clock::now();
  const ControlTimeout timeout{begin + kSaveTimeout, {}};
  VirtualMachine& machine = live_.guest->machine();
  SaveReport report;
  std::optional<Error> failure;
  bool is_saved = false;
  try {
    hold(timeout);
    while_held();
    machine.save(to.devices, timeout);
    is_saved = true;
    report.memory_checksum = copy_pages(live_.memory.get(), to.memory, kMemorySubject, {});
    if (to.disk >= 0) copy_sparse(live_.scratch.get(), to.disk, "the disk of the machine", {});
  } catch (...) {
    failure = caught_error();
  }
  if (after == AfterSave::ends && !failure) {
    stop(why);
  } else {
    if (is_saved) machine.go_on(timeout);
    proceed();
  }
  if (failure) throw Error(*failure);
  report.paused = elapsed_since(begin);
  return report;
}

// An answer to an earlier request, which came too late, is passed over.
void HeldMachine::hold(const ControlTimeout& timeout) {
  const guest::NumberPayload request{++holds_};
  live_.guest->hold();
  live_.control->send_fixed(guest::FrameType::hold, request);
  while (true) {
    GuestFrame frame = live_.control->next(timeout.deadline);
    if (frame.type != guest::FrameType::held) continue;
    if (fixed_part<guest::NumberPayload>(frame.payload).number == request.number) return;
  }
}

void HeldMachine::proceed() {
  live_.control->send(guest::FrameType::proceed);
  live_.control->send_all({});
  live_.guest->proceed();
}

nlohmann::json HeldMachine::describe(const SaveReport& saved, int devices) {
  const StateKey key{lease(), live_.config, launcher_.monitor(), StateKind::kept};
  return describe_saved_machine(key, live_.config, saved.memory_checksum,
                                checksum_of_pages(devices, "the state of its devices"), {});
}

void HeldMachine::stop(const char* why) noexcept {
  live_.guest->kill(why);
  const std::lock_guard lock(ports_mutex_);
  ports_.clear();
}

}  // namespace pyro
