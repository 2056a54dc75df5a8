// The interface of machine monitors, and the machines that they run. QEMU is the only one
// (machine/qemu/); no other room knows more of it than this header.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "machine/deadline.h"
#include "pyro/error.h"
#include "pyro/machine.h"

namespace pyro {

enum class Loss {
  silence,  ///< The guest did not respond before a deadline.
  end,      ///< The guest panicked or powered off.
  monitor,  ///< The monitor failed or was killed.
};

/// A machine ended unexpectedly, or did not come up.
class MachineLost : public Error {
 public:
  MachineLost(Loss loss, std::string message)
      : Error(ErrorCode::failed, std::move(message)), loss_(loss) {}

  [[nodiscard]] Loss loss() const noexcept { return loss_; }

 private:
  Loss loss_;
};

enum class MachineType {
  q35,      ///< A PC. Boots under any accelerator.
  microvm,  ///< Virtio only. Under emulation it may hang while it calibrates its clock.
};

/// The hardware of a machine.
struct MachineConfig {
  Accelerator accelerator = Accelerator::tcg;
  MachineType type = MachineType::q35;
  unsigned cpus = 1;
  unsigned memory_mib = 512;
  unsigned disk_mib = 0;  ///< Of the scratch disk, or 0.
  GuestNetwork network = GuestNetwork::none;
  bool is_container = false;

  [[nodiscard]] std::uint64_t memory_bytes() const noexcept {
    return std::uint64_t{memory_mib} << 20;
  }
  [[nodiscard]] std::uint64_t disk_bytes() const noexcept { return std::uint64_t{disk_mib} << 20; }
  bool operator==(const MachineConfig&) const = default;
};

/// What `pyro ps` finds in the arguments of a machine's process.
[[nodiscard]] std::string machine_label(std::string_view environment, MachineStart start);

/// What a machine is made of: open descriptors, as a monitor gets no paths. All but the scratch
/// disk are for reading.
struct MachineFiles {
  int kernel = -1;
  int initramfs = -1;
  int rootfs = -1;
  int scratch = -1;
  bool keeps_scratch = false;  ///< What the guest flushes to it has to be durable.
  std::string label = "pyro";  ///< machine_label()
};

/// For messages about the file of it.
inline constexpr const char* kMemorySubject = "the memory of the machine";

/// A saved state: the memory of a machine, and the state of its devices.
struct StateFiles {
  int memory = -1;
  int devices = -1;
  /// Fills the files, while the monitor starts. Without it they are complete.
  std::function<void()> load = {};
};

/// How a machine ended.
struct MachineEnd {
  Loss loss{};      ///< Loss::monitor when the monitor process failed.
  std::string how;  ///< How the process ended, for messages; empty while it runs.
  std::string hint = {};
};

/// A running machine. It is killed by the destructor, and when the thread that made it ends.
class VirtualMachine {
 public:
  virtual ~VirtualMachine() = default;

  /// The host's end of the guest's port: a non-blocking stream socket.
  [[nodiscard]] virtual int channel() const noexcept = 0;

  /// Descriptors to poll: readable when there is output to drain, and when the machine ends. -1 at
  /// the end of the output.
  [[nodiscard]] virtual int console() const noexcept = 0;
  [[nodiscard]] virtual int stderr_fd() const noexcept = 0;
  [[nodiscard]] virtual int process() const noexcept = 0;

  /// Reads the pending output of console and monitor, so that neither blocks.
  virtual void drain_output() = 0;

  /// The line of that output that best explains the end of the machine: of the monitor's stderr,
  /// else of the console. It may hold any bytes.
  [[nodiscard]] virtual std::string failure_line() const = 0;

  [[nodiscard]] virtual MachineEnd how_it_ended() = 0;

  /// Writes the state of the devices, and stops the machine, which must have been booted with a
  /// memory file.
  /// @throws Error(failed), also after the deadline; Error(interrupted)
  virtual void save(int devices, const ControlTimeout& timeout) = 0;
  /// Lets a machine that was saved go on.
  /// @throws as save()
  virtual void go_on(const ControlTimeout& timeout) = 0;

  virtual void kill() noexcept = 0;
};

class MachineMonitor {
 public:
  virtual ~MachineMonitor() = default;

  [[nodiscard]] virtual const std::filesystem::path& program() const noexcept = 0;
  /// With its name: "QEMU emulator version 7.2.22 (...)"; empty when it does not answer.
  /// @throws Error(filesystem) when it cannot be started
  [[nodiscard]] virtual std::string version() const = 0;
  /// The digest of all that it does to machines of any config: a state is of one fingerprint.
  [[nodiscard]] virtual std::string fingerprint() const = 0;
  /// As pyro::probe_kvm().
  [[nodiscard]] virtual KvmReport probe_kvm(const std::filesystem::path& cache_dir) const = 0;

  /// The configs to try for the one that is asked for, whose type does not matter, in their order.
  /// Software emulation, which is no security boundary, never replaces KVM: otherwise a guest that
  /// ends at once could force emulation.
  [[nodiscard]] virtual std::vector<MachineConfig> candidates(const MachineConfig& asked) const = 0;

  /// The parts of the sandbox that this kernel lacks: "Landlock, seccomp"; empty for none.
  [[nodiscard]] virtual std::string gaps() const { return {}; }

  /// `memory`: a file of the size of the guest's memory, which is kept in it.
  [[nodiscard]] virtual std::unique_ptr<VirtualMachine> boot(const MachineConfig& config,
                                                             const MachineFiles& files,
                                                             std::optional<int> memory) = 0;

  /// Resumes from a state, with the kernel that it was booted with and without an initramfs. The
  /// state is not changed, unless the machine is to be saved again: then the file of its memory is
  /// its own.
  /// @throws Error(failed) when the monitor fails, or does not answer in time; Error(interrupted)
  [[nodiscard]] virtual std::unique_ptr<VirtualMachine> resume(const MachineConfig& config,
                                                               const MachineFiles& files,
                                                               const StateFiles& state,
                                                               bool can_be_saved,
                                                               const ControlTimeout& timeout) = 0;
};

/// The monitor that `program` is.
/// @throws Error(failed) for none, and for one that the caller may not execute
[[nodiscard]] std::unique_ptr<MachineMonitor> make_monitor(const std::filesystem::path& program);

}  // namespace pyro
