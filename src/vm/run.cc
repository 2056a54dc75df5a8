// One command in a machine of its own, from the environment's name to its end.
#include <fmt/format.h>

#include <exception>
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
    if (failure_ && report_.exit_code == 0) std::rethrow_exception(failure_);
    return report_;
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
        find_prepared_state(directory, {held, shape, options_.machine.monitor});
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
        copy_out(link, copy, [this](std::string_view text) { launcher_.progress().warning(text); });
      } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) throw;
        if (report_.exit_code != 0) launcher_.progress().warning(error.what());
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  const RunOptions& options_;
  Launcher launcher_;
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
