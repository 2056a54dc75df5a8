// Run: one command in a machine of its own.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "vm/guest_requests.h"
#include "vm/launch.h"
#include "vm/state_save.h"

namespace pyro {
namespace {

constexpr int kTimedOut = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalled = 128;

constexpr std::string_view kEmulated = "no KVM: emulated";

/// Copies may take the timeout of the command, and at least this.
constexpr std::chrono::minutes kMinCopyTime{1};

std::chrono::microseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

/// "SIGQUIT", "QUIT" or "3"; 0 for anything else.
int signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < NSIG; ++number) {
    const char* const known = ::sigabbrev_np(number);
    if (std::to_string(number) == name || (known != nullptr && name == known)) return number;
  }
  return 0;
}

/// `options` with what the config of a container image says, unless they say it themselves.
/// @throws Error(usage) without a command
RunOptions with_config(RunOptions options, const Environment& environment,
                       const InstallRecord& record) {
  const bool is_container = environment.kind == EnvironmentKind::container;
  const ContainerConfig config =
      is_container ? record.config.value_or(ContainerConfig()) : ContainerConfig();
  std::vector<std::string>& command = options.command;
  const bool is_default = command.empty();
  if (is_default) command = config.command;
  if (is_default || options.entrypoint) {
    command.insert(command.begin(), config.entrypoint.begin(), config.entrypoint.end());
  }
  if (command.empty()) {
    throw Error(ErrorCode::usage, "the image names no command to run",
                "put it after the name: pyro run " + environment.name + " -- COMMAND");
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

class MachineRun {
 public:
  MachineRun(EnvironmentStore& store, std::string_view name, const RunOptions& options)
      : options_(options),
        launcher_(store, name, options.machine, options.progress, options.stop) {}

  RunReport run() {
    const auto begin = Clock::now();
    if (options_.command.empty() && launcher_.environment().kind == EnvironmentKind::environment) {
      throw Error(ErrorCode::usage, "there is no command to run");
    }
    const InstallLease lease = launcher_.acquire_lease();
    options_ = with_config(std::move(options_), launcher_.environment(), lease.installation.record);
    LiveMachine live = start(lease);
    report_.accelerator = live.config.accelerator;
    report_.start = live.start;
    report_.ready_after = since(begin);
    run_session(*live.link);
    // The guest has nothing to save.
    live.machine->kill();
    report_.total_time = since(begin);
    return std::move(report_);
  }

 private:
  LiveMachine start(const InstallLease& lease) {
    const MachineConfig config = launcher_.config();
    if (!options_.cold) {
      if (auto live = try_resume(lease, config)) return std::move(*live);
    }
    const RunningOperation operation(
        options_.progress,
        {.name = "booting",
         .subject = launcher_.environment().name,
         .detail = config.accelerator == Accelerator::tcg ? kEmulated : std::string_view()});
    if (options_.cold) return launcher_.boot(config, lease);
    const StateKey key{lease, config, options_.machine.monitor};
    const bool prepares = options_.machine.saves_states &&
                          (had_state_ || was_started_before(launcher_.layout(), key));
    return prepares ? launcher_.start_and_prepare(key) : launcher_.start(config, lease);
  }

  std::optional<LiveMachine> try_resume(const InstallLease& lease, const MachineConfig& config) {
    const StateLookup lookup =
        find_state(launcher_.layout(), {lease, config, options_.machine.monitor});
    had_state_ = lookup.exists;
    if (!lookup.state) {
      report_cold_start(lookup);
      return std::nullopt;
    }
    const RunningOperation operation(options_.progress,
                                     {.name = "resuming", .subject = launcher_.environment().name});
    return launcher_.try_resume(lease, *lookup.state);
  }

  /// A state that does not match is a warning: its user expects a fast start.
  void report_cold_start(const StateLookup& lookup) {
    const std::string& name = launcher_.environment().name;
    if (!lookup.exists) {
      launcher_.progress().note("no state of " + name + " was prepared for this shape of machine");
      return;
    }
    launcher_.progress().warning(fmt::format(
        "{}: its prepared state is stale: {}{}", name, fmt::join(lookup.differences, "; "),
        options_.machine.saves_states ? "" : "; 'pyro prepare " + name + "' makes it again"));
  }

  void run_session(GuestLink& link) {
    const Timeout timeout = copy_timeout(options_.timeout);
    for (const Copy& copy : options_.copy_in) {
      if (const auto unreadable = copy_in(link, copy, warn_, timeout, options_.progress)) {
        note_failure(incomplete(copy, unreadable));
      }
    }
    const auto begin = Clock::now();
    const CommandEnd end = run_command(link, options_);
    report_.command_time = since(begin);
    record(end);
    if (!end.cut_off) {
      // After a stop request the copies should be short.
      return copy_results_out(
          link, copy_timeout(end.interrupted ? Limit(kMinCopyTime) : options_.timeout));
    }
    for (const Copy& copy : options_.copy_out) {
      warn_(copy.from + " is not copied out: the command did not end when it was killed");
    }
  }

  using Limit = std::optional<std::chrono::milliseconds>;

  static Timeout copy_timeout(Limit limit) {
    Timeout timeout{kCopyIdleTimeout};
    if (limit) {
      timeout.end = Clock::now() + std::max<std::chrono::milliseconds>(*limit, kMinCopyTime);
    }
    return timeout;
  }

  void record(const CommandEnd& end) {
    report_.timed_out = end.timed_out;
    report_.signal = end.signal;
    report_.exit_code = end.signal != 0 ? kSignalled + end.signal : end.code;
    if (end.refused == guest::kNoSuchUser) {
      throw Error(ErrorCode::failed, end.refusal + ": the image has no such user or group");
    }
    if (end.refused != 0) {
      report_.exit_code = end.refused == ENOENT ? kNotFound : kNotExecutable;
      report_.refusal = system_error(end.refusal, end.refused).what();
    }
    if (end.timed_out) report_.exit_code = kTimedOut;
  }

  // Also after a failed command: the files may explain it.
  void copy_results_out(GuestLink& link, const Timeout& timeout) {
    for (const Copy& copy : options_.copy_out) {
      try {
        copy_out(link, copy, warn_, timeout, options_.progress);
      } catch (const Error& error) {
        note_failure(error);
        if (error.code() == ErrorCode::interrupted) return;
      }
    }
  }

  static Error incomplete(const Copy& copy, std::size_t unreadable) {
    return {ErrorCode::failed, fmt::format("not everything in {} could be read: {} left out",
                                           shortened(copy.from), unreadable)};
  }

  void note_failure(const Error& error) {
    if (report_.copy_failure)
      warn_(error.what());
    else
      report_.copy_failure = error;
  }

  RunOptions options_;
  Launcher launcher_;
  const Note warn_ = [this](std::string_view text) { launcher_.progress().warning(text); };
  RunReport report_;
  bool had_state_ = false;  ///< There is one, whether or not it matches.
};

}  // namespace

std::string_view to_string(MachineStart start) noexcept {
  switch (start) {
    case MachineStart::boot:
      return "cold";
    case MachineStart::kernel_state:
      return "kernel";
    case MachineStart::prepared_state:
      return "warm";
  }
  return "cold";
}

std::string_view to_string(Accelerator accelerator) noexcept {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

RunReport run_in_machine(EnvironmentStore& store, std::string_view name,
                         const RunOptions& options) {
  return MachineRun(store, name, options).run();
}

}  // namespace pyro
