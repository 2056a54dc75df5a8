// QEMU as the monitor.
#include "machine/qemu/qemu.h"

#include <elf.h>
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

#include "base/files.h"
#include "base/fs_verity.h"
#include "base/hash.h"
#include "base/subprocess.h"
#include "machine/network_backend.h"
#include "machine/qemu/kvm_probe.h"
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

/// QEMU sets up a machine for an ELF kernel and for a bzImage in different ways, and a saved state
/// fits one of them.
bool is_elf(int kernel) {
  std::array<char, SELFMAG> magic{};
  return ::pread(kernel, magic.data(), magic.size(), 0) == SELFMAG &&
         std::string_view(magic.data(), magic.size()) == ELFMAG;
}

bool can_be_opened_for_writing(int file) {
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  return Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC)).get() >= 0;
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
        network_(start_network(config.network)),
        process_(monitor_start({.program = program,
                                .arguments = qemu_arguments(config, start, files),
                                // In the order of QemuDescriptor; -1 is left out.
                                .descriptors = {channel.theirs.get(), console.theirs.get(),
                                                control.theirs.get(), files.kernel, files.initramfs,
                                                files.rootfs, state.memory, state.devices,
                                                files.scratch, network_end()},
                                .output = errors.theirs.get(),
                                .limits = limits(config, start),
                                .network = config.network == GuestNetwork::user_and_host,
                                .files = files_to_open(files, state)}),
                 kMonitorSubject) {
    if (network_) network_->close_guest_end();
  }

  static MonitorLimits limits(const MachineConfig& config, QemuStart start) {
    const bool writes = start == QemuStart::boot_to_save || start == QemuStart::resume_to_save;
    const std::uint64_t of_state = writes ? std::max(config.memory_bytes(), kMaxDeviceState) : 0;
    return {.address_space = config.memory_bytes() + kMonitorOverhead,
            .largest_file = std::max(of_state, config.disk_bytes()),
            .descriptors = config.network == GuestNetwork::user_and_host
                               ? kDescriptorsWithConnections
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

  [[nodiscard]] int network_end() const { return network_ ? network_->guest_end() : -1; }

  Fd channel_;
  OutputTail console_;
  OutputTail stderr_;
  QemuControl control_;
  std::unique_ptr<NetworkBackend> network_;
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
  MachineFiles resumed = files;
  // QEMU requires a kernel, and a resumed machine does not run it: the stub loads faster.
  const Fd stub = is_elf(files.kernel) ? make_stub_kernel() : Fd();
  if (stub) resumed.kernel = stub.get();
  StateFiles from = state;
  // QEMU opens it for writing even when it maps it privately, but a cache may be read-only.
  Fd copy;
  if (!can_be_saved && !can_be_opened_for_writing(state.memory)) {
    copy = make_memory_file(kMemorySubject);
    copy_sparse(state.memory, copy.get(), kMemorySubject, timeout.stop);
    from.memory = copy.get();
  }
  const QemuStart start = can_be_saved ? QemuStart::resume_to_save : QemuStart::resume;
  auto machine = std::make_unique<QemuMachine>(program_, config, start, resumed, from);
  if (state.load) state.load();
  ::lseek(state.devices, 0, SEEK_SET);  // QEMU reads it as a stream
  machine->resume(timeout);
  return machine;
}

std::string Qemu::gaps() const {
  return gaps_in(PreparedPolicy(monitor_policy({.program = program_})).confinement());
}

std::string Qemu::version() const {
  constexpr std::chrono::seconds kTimeout{5};
  const MonitorAnswer answer = ask_monitor(program_, {"--version"}, {}, kTimeout);
  return answer.end && answer.end->exit_code == 0 ? answer.first_line : "";
}

// Of the arguments of a resume, for all configs: the config of a machine is a condition of its own.
std::string Qemu::fingerprint() const {
  static const std::string digest = [] {
    std::string words = qemu_resume_commands();
    for (const Accelerator accelerator : {Accelerator::kvm, Accelerator::tcg}) {
      for (const MachineType type : {MachineType::microvm, MachineType::q35}) {
        for (const GuestNetwork network : {GuestNetwork::user, GuestNetwork::user_and_host}) {
          const MachineConfig config{
              .accelerator = accelerator, .type = type, .disk_mib = 1, .network = network};
          for (const std::string& word : qemu_arguments(config, QemuStart::resume)) {
            words += '\0' + word;
          }
        }
      }
    }
    return sha256(words).to_string();
  }();
  return digest;
}

KvmReport Qemu::probe_kvm(const std::filesystem::path& cache_dir) const {
  return pyro::probe_kvm(cache_dir, program_);
}

// A microvm is the faster one. A kernel may lack drivers for it, and under emulation it may hang.
std::vector<MachineConfig> Qemu::candidates(const MachineConfig& asked) const {
  std::vector<MachineConfig> configs(2, asked);
  configs[0].type = MachineType::microvm;
  configs[1].type = MachineType::q35;
  if (asked.accelerator == Accelerator::tcg) configs.erase(configs.begin());
  return configs;
}

std::unique_ptr<MachineMonitor> make_monitor(const std::filesystem::path& program) {
  std::error_code none;
  if (std::filesystem::is_regular_file(program, none) && ::access(program.c_str(), X_OK) == 0) {
    return std::make_unique<Qemu>(program);
  }
  throw Error(ErrorCode::failed,
              program.empty() ? "there is no qemu-system-x86_64 in the directories of $PATH"
                              : "cannot run " + program.string(),
              "install it (apt install qemu-system-x86), or name it in PYRO_QEMU");
}

}  // namespace pyro
