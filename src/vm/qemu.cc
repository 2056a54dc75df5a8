// QEMU as the monitor.
#include "vm/qemu.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/subprocess.h"
#include "pyro/error.h"
#include "vm/monitor_process.h"
#include "vm/qemu_arguments.h"
#include "vm/qemu_control.h"
#include "vm/words.h"

namespace pyro {
namespace {

constexpr std::uint64_t kLargestDeviceState = std::uint64_t{64} << 20;

SocketPair socket_pair(int flags) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket", errno);
  }
  ::fcntl(ends[0], F_SETFL, flags);
  return {Fd(ends[0]), Fd(ends[1])};
}

class QemuMachine : public Machine {
 public:
  QemuMachine(const std::filesystem::path& program, const MachineShape& shape, QemuStart start,
              const MachineFiles& files, const StateFiles& state)
      : QemuMachine(program, shape, start, files, state, socket_pair(O_NONBLOCK),
                    socket_pair(O_NONBLOCK), socket_pair(0), make_pipe()) {}

  [[nodiscard]] int channel() const noexcept override { return channel_.get(); }
  [[nodiscard]] int console() const noexcept override { return console_.descriptor(); }
  [[nodiscard]] int complaints() const noexcept override { return complaints_.descriptor(); }
  [[nodiscard]] int process() const noexcept override { return process_.descriptor(); }

  void note_words() override {
    console_.take_in();
    complaints_.take_in();
  }

  [[nodiscard]] std::string last_words() const override {
    return complaints_.last().empty() ? telling_line(console_.last())
                                      : first_line(complaints_.last());
  }

  // Rebooting and turning off are ordinary ends of QEMU: it is told not to reboot.
  [[nodiscard]] Loss why_it_ended() override {
    if (!wait_to_read(process_.descriptor(), Clock::now())) return Loss::end;
    return process_.wait().exit_code == 0 ? Loss::end : Loss::monitor;
  }

  void save(int devices, Deadline deadline, const std::stop_token& stop) override {
    control_.save(devices, {deadline, stop});
  }

  void kill() noexcept override { process_.kill(); }

 private:
  QemuMachine(const std::filesystem::path& program, const MachineShape& shape, QemuStart start,
              const MachineFiles& files, const StateFiles& state, SocketPair channel,
              SocketPair console, SocketPair control, SocketPair complaints)
      : channel_(std::move(channel.ours)),
        console_(std::move(console.ours)),
        complaints_(std::move(complaints.ours)),
        control_(std::move(control.ours)),
        process_(monitor_start({.program = program,
                                .arguments = qemu_arguments(shape, start),
                                .descriptors = {channel.theirs.get(), console.theirs.get(),
                                                control.theirs.get(), files.kernel, files.initramfs,
                                                files.rootfs, state.memory, state.devices},
                                .complaints = complaints.theirs.get(),
                                .limits = limits(shape, start),
                                .network = shape.network != GuestNetwork::none,
                                .files = files_to_open(files, state)}),
                 kMonitorSubject) {
    // What is said before QEMU listens waits in the socket.
    if (start == QemuStart::resume) control_.send(qemu_resume_commands());
  }

  static MonitorLimits limits(const MachineShape& shape, QemuStart start) {
    const bool writes = start == QemuStart::boot_to_save;
    return {.address_space = shape.memory_bytes() + kMonitorOverhead,
            .largest_file = writes ? std::max(shape.memory_bytes(), kLargestDeviceState) : 0};
  }

  // QEMU takes the others as they are. Memory is opened for writing even where it is mapped
  // privately.
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
  Words console_;
  Words complaints_;
  QemuControl control_;
  Subprocess process_;
};

}  // namespace

std::unique_ptr<Machine> Qemu::boot(const MachineShape& shape, const MachineFiles& files,
                                    std::optional<int> memory) {
  const QemuStart start = memory ? QemuStart::boot_to_save : QemuStart::boot;
  return std::make_unique<QemuMachine>(program_, shape, start, files,
                                       StateFiles{.memory = memory.value_or(-1)});
}

std::unique_ptr<Machine> Qemu::resume(const MachineShape& shape, const MachineFiles& files,
                                      const StateFiles& state) {
  return std::make_unique<QemuMachine>(program_, shape, QemuStart::resume, files, state);
}

std::string Qemu::gaps() const {
  return gaps_in(PreparedPolicy({.calls = SystemCalls{}}).confinement());
}

std::string qemu_version(const std::filesystem::path& program) {
  constexpr std::chrono::seconds kPatience{5};
  const MonitorAnswer answer = ask_monitor(program, {"--version"}, {}, kPatience);
  return answer.end && answer.end->exit_code == 0 ? answer.first_line : "";
}

}  // namespace pyro
