// Machine: what a program holds of a running virtual machine.
#include "pyro/machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "machine/guest_requests.h"
#include "machine/launch.h"
#include "machine/published_port.h"
#include "machine/state_save.h"

namespace pyro {
namespace {

constexpr int kTimedOut = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalled = 128;

constexpr std::string_view kEmulated = "no KVM: emulated";

/// "SIGQUIT", "QUIT" or "3"; 0 for anything else.
int signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < NSIG; ++number) {
    const char* const known = ::sigabbrev_np(number);
    if (std::to_string(number) == name || (known != nullptr && name == known)) return number;
  }
  return 0;
}

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

Timeout copy_timeout(const CopyOptions& options) {
  Timeout timeout{kCopyIdleTimeout};
  if (options.timeout) timeout.end = Clock::now() + *options.timeout;
  return timeout;
}

}  // namespace

class Machine::Impl {
 public:
  Impl(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
       const StartOptions& start)
      : options_(options), launcher_(store, name, options_, start.progress, start.stop) {
    const auto begin = Clock::now();
    for (const PortOptions& port : start.ports) {
      ports_.push_back(std::make_unique<PublishedPort>(port));
    }
    lease_ = launcher_.acquire_lease();
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
    if (start.progress != nullptr) {
      for (const PortOptions& port : info_.ports) {
        start.progress->published(port.address, port.port, port.guest_port);
      }
    }
  }

  [[nodiscard]] const MachineInfo& info() const noexcept { return info_; }

  CommandReport run(const CommandOptions& asked) {
    const CommandOptions options = with_config(asked);
    GuestSession session(*live_.guest, options.stop);
    const auto begin = Clock::now();
    CommandReport report = report_of(run_command(session, options));
    report.command_time = elapsed_since(begin);
    return report;
  }

  std::size_t copy_in(const Copy& copy, const CopyOptions& options) {
    GuestSession session(*live_.guest, options.stop);
    return pyro::copy_in(session, copy, note_for(options), copy_timeout(options), options.progress);
  }

  void copy_out(const Copy& copy, const CopyOptions& options) {
    GuestSession session(*live_.guest, options.stop);
    pyro::copy_out(session, copy, note_for(options), copy_timeout(options), options.progress);
  }

  std::uint16_t publish(const PortOptions& options) {
    auto port = std::make_unique<PublishedPort>(options);
    port->serve(*live_.guest);
    const std::lock_guard lock(ports_mutex_);
    return ports_.emplace_back(std::move(port))->options().port;
  }

  void stop() noexcept {
    live_.guest->kill();
    const std::lock_guard lock(ports_mutex_);
    ports_.clear();
  }

 private:
  LiveMachine start_machine(const StartOptions& start) {
    const MachineConfig config = launcher_.config();
    const StateKey key{lease_, config, launcher_.monitor()};
    bool had_state = false;
    if (!start.cold) {
      if (auto live = try_resume(key, start, had_state)) return std::move(*live);
    }
    const RunningOperation operation(
        start.progress,
        {.name = "booting",
         .subject = launcher_.environment().name,
         .detail = config.accelerator == Accelerator::tcg ? kEmulated : std::string_view()});
    if (start.cold) return launcher_.boot(config, lease_);
    const bool prepares =
        options_.saves_states && (had_state || launcher_.states().was_started_before(key));
    return prepares ? launcher_.start_and_prepare(key) : launcher_.start(config, lease_);
  }

  std::optional<LiveMachine> try_resume(const StateKey& key, const StartOptions& start,
                                        bool& had_state) {
    const StateLookup lookup = launcher_.states().find(key);
    had_state = lookup.exists;
    if (!lookup.state) {
      report_cold_start(lookup);
      return std::nullopt;
    }
    const RunningOperation operation(start.progress,
                                     {.name = "resuming", .subject = launcher_.environment().name});
    return launcher_.try_resume(lease_, *lookup.state);
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
        options_.saves_states ? "" : "; 'pyro prepare " + name + "' makes it again"));
  }

  /// `options` with what the config of a container image says, unless they say it themselves.
  /// @throws Error(usage) without a command
  [[nodiscard]] CommandOptions with_config(CommandOptions options) const {
    const bool is_container = launcher_.environment().kind == EnvironmentKind::container;
    const ContainerConfig config =
        is_container ? lease_.installation.record.config.value_or(ContainerConfig())
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

  static Note note_for(const CopyOptions& options) {
    return [progress = options.progress](std::string_view text) {
      if (progress != nullptr) progress->warning(text);
    };
  }

  const MachineOptions options_;
  Launcher launcher_;
  InstallLease lease_;
  LiveMachine live_;
  MachineInfo info_;
  std::mutex ports_mutex_;
  std::vector<std::unique_ptr<PublishedPort>> ports_;  ///< They use the machine.
};

Machine::Machine(EnvironmentStore& store, std::string_view name, const MachineOptions& options,
                 const StartOptions& start)
    : impl_(std::make_unique<Impl>(store, name, options, start)) {}
Machine::~Machine() = default;
Machine::Machine(Machine&&) noexcept = default;
Machine& Machine::operator=(Machine&&) noexcept = default;

const MachineInfo& Machine::info() const noexcept {
  return impl_->info();
}

CommandReport Machine::run(const CommandOptions& command) {
  return impl_->run(command);
}

std::size_t Machine::copy_in(const Copy& copy, const CopyOptions& options) {
  return impl_->copy_in(copy, options);
}

void Machine::copy_out(const Copy& copy, const CopyOptions& options) {
  impl_->copy_out(copy, options);
}

std::uint16_t Machine::publish(const PortOptions& port) {
  return impl_->publish(port);
}

void Machine::stop() noexcept {
  impl_->stop();
}

class RunningCommand::Thread {
 public:
  using Run = std::function<CommandReport(const CommandOptions& options)>;

  Thread(const Run& run, CommandOptions options)
      : ends_on_stop_of_caller_(options.stop, Stop{*this}) {
    ::fcntl(signals_.read.get(), F_SETFL, O_NONBLOCK);
    options.signals = signals_.read.get();
    options.stop = stop_.get_token();
    options.stop_signal = [this, asked = std::move(options.stop_signal)] {
      if (is_killed_) return SIGKILL;
      return asked ? asked() : SIGINT;
    };
    thread_ = std::thread([this, run, options = std::move(options)] {
      try {
        report_ = run(options);
      } catch (...) {
        failure_ = std::current_exception();
      }
    });
  }

  ~Thread() {
    is_killed_ = true;
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  void signal(int number) {
    const auto byte = static_cast<unsigned char>(number);
    static_cast<void>(!::write(signals_.write.get(), &byte, 1));
  }

  CommandReport wait() {
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(failure_);
    return report_;
  }

 private:
  struct Stop {
    Thread& self;
    void operator()() const { self.stop_.request_stop(); }
  };

  const Pipe signals_;
  std::stop_source stop_;
  std::stop_callback<Stop> ends_on_stop_of_caller_;
  std::atomic<bool> is_killed_ = false;
  CommandReport report_;
  std::exception_ptr failure_;
  std::thread thread_;
};

RunningCommand::RunningCommand(std::unique_ptr<Thread> thread) : thread_(std::move(thread)) {}
RunningCommand::~RunningCommand() = default;
RunningCommand::RunningCommand(RunningCommand&&) noexcept = default;
RunningCommand& RunningCommand::operator=(RunningCommand&&) noexcept = default;

void RunningCommand::signal(int number) {
  thread_->signal(number);
}

CommandReport RunningCommand::wait() {
  return thread_->wait();
}

RunningCommand Machine::spawn(CommandOptions command) {
  return RunningCommand(std::make_unique<RunningCommand::Thread>(
      [machine = impl_.get()](const CommandOptions& options) { return machine->run(options); },
      std::move(command)));
}

}  // namespace pyro
