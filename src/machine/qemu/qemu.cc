// QEMU as the monitor.
#include "machine/qemu/qemu.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/subprocess.h"
#include "machine/qemu/monitor_process.h"
#include "pyro/error.h"
#include "pyro/machine.h"

namespace pyro {
namespace {

/// Each connection of a guest takes a descriptor, and up to 256 KiB of the bounded address space.
constexpr std::uint64_t kDescriptorsWithConnections = 4096;
constexpr std::uint64_t kMaxDeviceState = std::uint64_t{64} << 20;

SocketPair socket_pair(int flags) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket", errno);
  }
  ::fcntl(ends[0], F_SETFL, flags);
  return {Fd(ends[0]), Fd(ends[1])};
}

MachineEnd describe(const ProcessEnd& end) {
  const std::string monitor(kMonitorSubject);
  if (end.signal == SIGKILL) {
    return {Loss::monitor, monitor + " was killed (SIGKILL)",
            "most likely the host ran out of memory (see 'dmesg'): use a smaller --memory, or run "
            "fewer "
            "machines at a time"};
  }
  if (end.signal != 0) {
    return {Loss::monitor,
            fmt::format("{} died of signal {} ({})", monitor, end.signal, ::strsignal(end.signal)),
            "it is QEMU's fault or the host's, not the command's: see 'dmesg'"};
  }
  // Reboot and power-off end QEMU with status 0, by -no-reboot.
  return {end.exit_code == 0 ? Loss::end : Loss::monitor,
          fmt::format("{} exited with status {}{}", monitor, end.exit_code,
                      end.exit_code == 0 ? ", as when its guest turns itself off" : "")};
}

class QemuMachine : public VirtualMachine {
 public:
  QemuMachine(const std::filesystem::path& program, const MachineConfig& config, QemuStart start,
              const MachineFiles& files, const StateFiles& state)
      : QemuMachine(program, config, start, files, state, socket_pair(O_NONBLOCK),
                    socket_pair(O_NONBLOCK), socket_pair(0), make_pipe()) {}

  [[nodiscard]] int channel() const noexcept override { return channel_.get(); }
  [[nodiscard]] int console() const noexcept override { return console_.descriptor(); }
  [[nodiscard]] int stderr_fd() const noexcept override { return stderr_.descriptor(); }
  [[nodiscard]] int process() const noexcept override { return process_.descriptor(); }

  void drain_output() override {
    console_.drain();
    stderr_.drain();
  }

  [[nodiscard]] std::string failure_line() const override {
    return stderr_.text().empty() ? failure_line_in(console_.text()) : first_line(stderr_.text());
  }

  [[nodiscard]] MachineEnd how_it_ended() override {
    if (!wait_to_read(process_.descriptor(), Clock::now())) return {Loss::end, {}};
    return describe(process_.wait());
  }

  void save(int devices, const ControlTimeout& timeout) override {
    control_.save(devices, timeout);
  }
  void go_on(const ControlTimeout& timeout) override { control_.go_on(timeout); }

  void resume(const ControlTimeout& timeout) {
    constexpr std::chrono::milliseconds kExitTimeout{100};
    try {
      control_.resume(timeout);
    } catch (const Error&) {
      // If the machine has ended, waiting for its guest reports a better reason.
      if (!wait_to_read(process_.descriptor(), Clock::now() + kExitTimeout)) throw;
    }
  }

  void kill() noexcept override { process_.kill(); }

 private:
  QemuMachine(const std::filesystem::path& program, const MachineConfig& config, QemuStart start,
              const MachineFiles& files, const StateFiles& state, SocketPair channel,
              SocketPair console, SocketPair control, SocketPair errors)
      : channel_(std::move(channel.ours)),
        console_(std::move(console.ours)),
        stderr_(std::move(errors.ours)),
        control_(std::move(control.ours)),
        process_(monitor_start({.program = program,
                                .arguments = qemu_arguments(config, start, files.label),
                                // In the order of QemuDescriptor; -1 is left out.
                                .descriptors = {channel.theirs.get(), console.theirs.get(),
                                                control.theirs.get(), files.kernel, files.initramfs,
                                                files.rootfs, state.memory, state.devices},
                                .output = errors.theirs.get(),
                                .limits = limits(config, start),
                                .network = config.network != GuestNetwork::none,
                                .files = files_to_open(files, state)}),
                 kMonitorSubject) {}

  static MonitorLimits limits(const MachineConfig& config, QemuStart start) {
    const bool writes = start == QemuStart::boot_to_save || start == QemuStart::resume_to_save;
    return {.address_space = config.memory_bytes() + kMonitorOverhead,
            .largest_file = writes ? std::max(config.memory_bytes(), kMaxDeviceState) : 0,
            .descriptors = config.network == GuestNetwork::user ? kDescriptorsWithConnections
                                                                : MonitorLimits{}.descriptors};
  }

  // QEMU reopens these. Memory is opened for writing even when it is mapped privately.
  static std::vector<PathRule> files_to_open(const MachineFiles& files, const StateFiles& state) {
    std::vector<PathRule> rules;
    for (const int file : {files.kernel, files.initramfs}) {
      if (file >= 0) rules.push_back({.descriptor = file});
    }
    if (state.memory >= 0) {
      rules.push_back({.rights = PathRule::Rights::read_and_write, .descriptor = state.memory});
    }
    return rules;
  }

  Fd channel_;
  OutputTail console_;
  OutputTail stderr_;
  QemuControl control_;
  Subprocess process_;
};

}  // namespace

std::filesystem::path find_monitor() {
  return find_monitor([](const char* name) -> std::optional<std::string> {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): see the header.
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  });
}

std::filesystem::path find_monitor(
    const std::function<std::optional<std::string>(const char* name)>& variables) {
  const std::string named = variables("PYRO_QEMU").value_or("");
  if (!named.empty()) return named;
  return find_program(variables("PATH").value_or(""), "qemu-system-x86_64");
}

std::unique_ptr<VirtualMachine> Qemu::boot(const MachineConfig& config, const MachineFiles& files,
                                           std::optional<int> memory) {
  const QemuStart start = memory ? QemuStart::boot_to_save : QemuStart::boot;
  return std::make_unique<QemuMachine>(program_, config, start, files,
                                       StateFiles{.memory = memory.value_or(-1)});
}

std::unique_ptr<VirtualMachine> Qemu::resume(const MachineConfig& config, const MachineFiles& files,
                                             const StateFiles& state, bool can_be_saved,
                                             const ControlTimeout& timeout) {
  const QemuStart start = can_be_saved ? QemuStart::resume_to_save : QemuStart::resume;
  auto machine = std::make_unique<QemuMachine>(program_, config, start, files, state);
  machine->resume(timeout);
  return machine;
}

std::string Qemu::gaps() const {
  return gaps_in(PreparedPolicy(monitor_policy({.program = program_})).confinement());
}

std::string qemu_version(const std::filesystem::path& program) {
  constexpr std::chrono::seconds kTimeout{5};
  const MonitorAnswer answer = ask_monitor(program, {"--version"}, {}, kTimeout);
  return answer.end && answer.end->exit_code == 0 ? answer.first_line : "";
}

}  // namespace pyro
