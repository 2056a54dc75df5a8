// One command in a machine of its own, from the environment's name to its end.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "vm/conversation.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"

namespace pyro {
namespace {

constexpr int kTimedOut = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalled = 128;

/// For the copies on either side of a command that has less.
constexpr std::chrono::minutes kLeastForCopies{1};

std::chrono::microseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
}

class MachineRun {
 public:
  MachineRun(EnvironmentStore& store, std::string_view name, const RunOptions& options)
      : options_(options),
        launcher_(store, name, options.machine, options.progress, options.stop) {}

  RunReport run() {
    const auto begin = Clock::now();
    const HeldInstallation held = launcher_.hold();
    LiveMachine live = start(held);
    report_.accelerator = live.shape.accelerator;
    report_.ready_after = since(begin);
    converse(*live.link);
    // Nothing in there is worth a proper end.
    live.machine->kill();
    report_.total_time = since(begin);
    return std::move(report_);
  }

 private:
  LiveMachine start(const HeldInstallation& held) {
    const MachineShape shape = launcher_.shape();
    if (!options_.cold) {
      if (auto live = go_on(held, shape)) return std::move(*live);
    }
    return launcher_.boot(shape, held);
  }

  std::optional<LiveMachine> go_on(const HeldInstallation& held, const MachineShape& shape) {
    const auto directory =
        prepared_state_dir(launcher_.layout(), launcher_.environment().name, shape.network);
    const StateLookup lookup =
        find_prepared_state(launcher_.layout(), directory, {held, shape, options_.machine.monitor});
    if (!lookup.state) {
      tell_why_cold(lookup);
      return std::nullopt;
    }
    auto live = launcher_.try_resume(held, *lookup.state);
    report_.warm = live.has_value();
    return live;
  }

  void tell_why_cold(const StateLookup& lookup) {
    launcher_.progress().note("booting " + launcher_.environment().name + ": " +
                              (lookup.exists
                                   ? "its prepared state is stale: " +
                                         fmt::format("{}", fmt::join(lookup.differences, "; "))
                                   : "no state of it was prepared"));
  }

  void converse(GuestLink& link) {
    const Patience patience = copy_patience(options_.timeout);
    for (const Copy& copy : options_.copy_in) {
      if (const auto unreadable = copy_in(link, copy, warn_, patience)) {
        note_failure(incomplete(copy, unreadable));
      }
    }
    const auto begin = Clock::now();
    const CommandEnd end = run_command(link, options_);
    report_.command_time = since(begin);
    take_over(end);
    if (!end.cut_off) {
      // A user who stops the command wants an end soon.
      return take_copies(
          link, copy_patience(end.interrupted ? Limit(kLeastForCopies) : options_.timeout));
    }
    for (const Copy& copy : options_.copy_out) {
      warn_(copy.from + " is not copied out: the command did not end when it was killed");
    }
  }

  using Limit = std::optional<std::chrono::milliseconds>;

  static Patience copy_patience(Limit limit) {
    Patience patience{kStillnessOfACopy};
    if (limit) {
      patience.end = Clock::now() + std::max<std::chrono::milliseconds>(*limit, kLeastForCopies);
    }
    return patience;
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

  // Also after a command that failed: what it left may say why.
  void take_copies(GuestLink& link, const Patience& patience) {
    for (const Copy& copy : options_.copy_out) {
      try {
        copy_out(link, copy, warn_, patience);
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

  const RunOptions& options_;
  Launcher launcher_;
  const Note warn_ = [this](std::string_view text) { launcher_.progress().warning(text); };
  RunReport report_;
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
