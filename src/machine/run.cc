// Run: one command in a machine of its own, with copies before and after it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "machine/deadline.h"
#include "machine/guest_connection.h"
#include "pyro/machine.h"

namespace pyro {
namespace {

/// Copies may take the timeout of the command, and at least this.
constexpr std::chrono::minutes kMinCopyTime{1};

class MachineRun {
 public:
  MachineRun(EnvironmentStore& store, std::string_view name, const RunOptions& options)
      : options_(options), store_(store), name_(name) {}

  RunReport run() {
    const auto begin = Clock::now();
    require_command();
    Machine machine(store_, name_, options_.machine,
                    {.cold = options_.cold,
                     .ports = options_.ports,
                     .progress = options_.progress,
                     .stop = options_.stop});
    copy_files_in(machine);
    CommandOptions command = options_;
    command.ends_all_processes = true;
    static_cast<CommandReport&>(report_) = machine.run(command);
    if (report_.is_stuck)
      warn_of_missing_copies();
    else
      copy_results_out(machine);
    // The guest has nothing to save.
    machine.stop();
    report_.start = machine.info().start;
    report_.accelerator = machine.info().accelerator;
    report_.ready_after = machine.info().ready_after;
    report_.total_time = elapsed_since(begin);
    return std::move(report_);
  }

 private:
  // Before anything is pulled.
  void require_command() const {
    const Environment& environment = store_.options().catalog.require(name_);
    if (options_.command.empty() && environment.kind == EnvironmentKind::environment) {
      throw Error(ErrorCode::usage, "there is no command to run");
    }
  }

  using Limit = std::optional<std::chrono::milliseconds>;

  /// For copies together, from now on.
  static Deadline copy_deadline(Limit limit) {
    if (!limit) return std::nullopt;
    return Clock::now() + std::max<std::chrono::milliseconds>(*limit, kMinCopyTime);
  }

  [[nodiscard]] CopyOptions copy_options(Deadline deadline, std::stop_token stop) const {
    CopyOptions options{.progress = options_.progress, .stop = std::move(stop)};
    if (deadline) {
      options.timeout =
          std::max(std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()),
                   std::chrono::milliseconds(0));
    }
    return options;
  }

  void copy_files_in(Machine& machine) {
    const Deadline deadline = copy_deadline(options_.timeout);
    for (const Copy& copy : options_.copy_in) {
      const std::size_t unreadable = machine.copy_in(copy, copy_options(deadline, options_.stop));
      if (unreadable == 0) continue;
      note_failure(
          {ErrorCode::failed, fmt::format("not everything in {} could be read: {} left out",
                                          shortened(copy.from), unreadable)});
    }
  }

  // Also after a failed command: the files may explain it. After a stop request, which was the
  // command's, they should be short.
  void copy_results_out(Machine& machine) {
    const Deadline deadline =
        copy_deadline(report_.interrupted ? Limit(kMinCopyTime) : options_.timeout);
    const std::stop_token stop = report_.interrupted ? std::stop_token() : options_.stop;
    for (const Copy& copy : options_.copy_out) {
      try {
        machine.copy_out(copy, copy_options(deadline, stop));
      } catch (const Error& error) {
        note_failure(error);
        if (error.code() == ErrorCode::interrupted) return;
      }
    }
  }

  void warn_of_missing_copies() {
    for (const Copy& copy : options_.copy_out) {
      warn(copy.from + " is not copied out: the command did not end when it was killed");
    }
  }

  void note_failure(const Error& error) {
    if (report_.copy_failure)
      warn(error.what());
    else
      report_.copy_failure = error;
  }

  void warn(std::string_view text) {
    if (options_.progress != nullptr) options_.progress->warning(text);
  }

  const RunOptions& options_;
  EnvironmentStore& store_;
  const std::string_view name_;
  RunReport report_;
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
    case MachineStart::saved_machine:
      return "resumed";
  }
  return "cold";
}

std::string_view to_string(GuestNetwork network) noexcept {
  switch (network) {
    case GuestNetwork::none:
      return "none";
    case GuestNetwork::user:
      return "user";
    case GuestNetwork::user_and_host:
      return "user+host";
  }
  return "none";
}

std::string_view to_string(Accelerator accelerator) noexcept {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

RunReport run_in_machine(EnvironmentStore& store, std::string_view name,
                         const RunOptions& options) {
  return MachineRun(store, name, options).run();
}

}  // namespace pyro
