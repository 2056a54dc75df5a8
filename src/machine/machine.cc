// Machine: what programs hold of a machine, and of a command that goes on in it.
#include "pyro/machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/subprocess.h"
#include "machine/held_machine.h"

namespace pyro {

class Machine::Impl : public HeldMachine {
 public:
  using HeldMachine::HeldMachine;
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
