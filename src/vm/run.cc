// One command in a machine of its own, from the environment's name to its end.
#include <exception>
#include <utility>

#include "store/held_installation.h"
#include "store/layout.h"
#include "vm/conversation.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"
#include "vm/qemu.h"

namespace pyro {
namespace {

/// How long a machine that goes on from its state may take before it is booted instead.
constexpr std::chrono::seconds kResumePatience{15};
constexpr int kTimedOut = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalled = 128;

std::chrono::microseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

class MachineRun {
 public:
  MachineRun(EnvironmentStore& store, std::string_view name, const RunOptions& options)
      : store_(store),
        options_(options),
        environment_(store.options().catalog.require(name)),
        layout_(store.options().cache_dir),
        progress_(options.progress != nullptr ? *options.progress : silence_),
        monitor_(options.machine.monitor) {}

  RunReport run() {
    const auto begin = Clock::now();
    require_monitor(options_.machine);
    const HeldInstallation held = hold();
    LiveMachine live = start(held);
    report_.accelerator = live.shape.accelerator;
    report_.ready_after = since(begin);
    converse(*live.link);
    // Nothing in there is worth a proper end.
    live.machine->kill();
    report_.total_time = since(begin);
    if (failure_ && report_.exit_code == 0) std::rethrow_exception(failure_);
    return report_;
  }

 private:
  HeldInstallation hold() {
    const PullOptions pull{.progress = options_.progress, .stop = options_.stop};
    while (true) {
      const InstalledEnvironment installed = store_.ensure_installed(environment_.name, pull);
      if (auto held = hold_installation(installed.install_dir, environment_)) {
        return std::move(*held);
      }
    }
  }

  LiveMachine start(const HeldInstallation& held) {
    const MachineShape shape = shape_for(options_.machine, layout_.root());
    if (!options_.cold) {
      if (auto live = go_on(held, shape)) return std::move(*live);
    }
    return boot_machine(monitor_, shape, held, std::nullopt, options_.machine.boot_timeout,
                        options_.stop,
                        [this](std::string_view text) { progress_.warning(text); });
  }

  std::optional<LiveMachine> go_on(const HeldInstallation& held, const MachineShape& shape) {
    const auto directory =
        prepared_state_dir(layout_, environment_.name, shape.network);
    const auto conditions = state_conditions(held, shape, options_.machine.monitor);
    const StateLookup lookup = find_prepared_state(directory, conditions);
    if (!lookup.state) {
      tell_why_cold(lookup);
      return std::nullopt;
    }
    try {
      LiveMachine live = resume_machine(monitor_, shape, held, *lookup.state, kResumePatience,
                                        options_.stop);
      report_.warm = true;
      return live;
    } catch (const MachineLost& error) {
      progress_.warning(std::string("the prepared state does not work (") + error.what() +
                        "): booting; make it anew with 'pyro prepare --force'");
      return std::nullopt;
    }
  }

  void tell_why_cold(const StateLookup& lookup) {
    std::string why;
    for (const std::string& difference : lookup.differences) {
      why += (why.empty() ? "" : "; ") + difference;
    }
    progress_.note("booting " + environment_.name + ": " +
                   (lookup.exists ? "its prepared state is stale: " + why
                                  : "no state of it was prepared"));
  }

  void converse(GuestLink& link) {
    for (const Copy& copy : options_.copy_in) copy_in(link, copy);
    const auto begin = Clock::now();
    const CommandEnd end = run_command(link, options_);
    report_.command_time = since(begin);
    take_over(end);
    if (!end.timed_out) take_copies(link);
  }

  void take_over(const CommandEnd& end) {
    report_.timed_out = end.timed_out;
    report_.signal = end.signal;
    report_.exit_code = end.signal != 0 ? kSignalled + end.signal : end.code;
    if (end.refused != 0) {
      report_.exit_code = end.refused == ENOENT ? kNotFound : kNotExecutable;
      report_.refusal = system_error(end.refusal, end.refused).what();
    }
    if (end.timed_out) report_.exit_code = kTimedOut;
  }

  // Also after a command that failed: what it left may say why. Its code then says more than
  // that there was nothing to copy.
  void take_copies(GuestLink& link) {
    for (const Copy& copy : options_.copy_out) {
      try {
        copy_out(link, copy, [this](std::string_view text) { progress_.warning(text); });
      } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) throw;
        if (report_.exit_code != 0) progress_.warning(error.what());
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  ProgressListener silence_;
  EnvironmentStore& store_;
  const RunOptions& options_;
  const Environment environment_;
  const CacheLayout layout_;
  ProgressListener& progress_;
  Qemu monitor_;
  RunReport report_;
  std::exception_ptr failure_;
};

}  // namespace

std::string_view to_string(Accelerator accelerator) noexcept {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

RunReport run_in_machine(EnvironmentStore& store, std::string_view name,
                         const RunOptions& options) {
  if (options.command.empty()) throw Error(ErrorCode::usage, "there is no command to run");
  return MachineRun(store, name, options).run();
}

}  // namespace pyro
