// A machine, and the monitor that runs it: what a monitor has to be able to do. QEMU is the only
// one so far (vm/qemu.h).
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "pyro/machine.h"
#include "vm/deadline.h"
#include "vm/machine_lost.h"

namespace pyro {

enum class MachineType {
  q35,      ///< A PC. Boots under any accelerator.
  microvm,  ///< Nothing but virtio. Under emulation it may hang while its clock is calibrated.
};

/// Everything that a saved state depends on.
struct MachineShape {
  Accelerator accelerator = Accelerator::tcg;
  MachineType type = MachineType::q35;
  unsigned cpus = 1;
  unsigned memory_mib = 512;
  GuestNetwork network = GuestNetwork::none;

  [[nodiscard]] std::uint64_t memory_bytes() const noexcept {
    return std::uint64_t{memory_mib} << 20;
  }
  bool operator==(const MachineShape&) const = default;
};

/// Open descriptors, for reading. A monitor gets these and no paths.
struct MachineFiles {
  int kernel = -1;
  int initramfs = -1;
  int rootfs = -1;
};

/// The state of a machine: its memory, and everything else.
struct StateFiles {
  int memory = -1;
  int devices = -1;
};

/// How long a monitor is waited for.
struct ControlPatience {
  Deadline deadline;
  std::stop_token stop;
};

/// How a machine ended, once its channel has ended.
struct MachineEnd {
  Loss loss{};      ///< Loss::monitor when its process has ended, and not as it should.
  std::string how;  ///< How its process ended, in words; empty while it has not.
  std::string hint = {};
};

/// A machine that runs. It ends with this object, and with the thread that made it.
class Machine {
 public:
  virtual ~Machine() = default;

  /// The other end of the guest's port: a stream socket that does not block.
  [[nodiscard]] virtual int channel() const noexcept = 0;

  /// What becomes readable when there is something to note_words() of, and with the machine's end.
  [[nodiscard]] virtual int console() const noexcept = 0;
  [[nodiscard]] virtual int complaints() const noexcept = 0;
  [[nodiscard]] virtual int process() const noexcept = 0;

  /// Takes in what console and monitor have said, so that neither has to wait.
  virtual void note_words() = 0;

  /// The line of it that tells most of how the machine ended: of the monitor's complaints, else of
  /// the guest's console. It may hold any bytes.
  [[nodiscard]] virtual std::string last_words() const = 0;

  [[nodiscard]] virtual MachineEnd how_it_ended() = 0;

  /// Writes what is not in the memory file, and stops the machine. For machines that were booted
  /// with a memory file.
  /// @throws Error(failed), also after the deadline; Error(interrupted)
  virtual void save(int devices, const ControlPatience& patience) = 0;

  virtual void kill() noexcept = 0;
};

class MachineMonitor {
 public:
  virtual ~MachineMonitor() = default;

  /// The parts of the sandbox that this kernel lacks: "Landlock, seccomp"; empty when it has all.
  [[nodiscard]] virtual std::string gaps() const { return {}; }

  /// With a `memory` file of the right size, the guest's memory is that file.
  [[nodiscard]] virtual std::unique_ptr<Machine> boot(const MachineShape& shape,
                                                      const MachineFiles& files,
                                                      std::optional<int> memory) = 0;

  /// Goes on from a state, which stays as it is. The guest has read its kernel and its initramfs:
  /// there need be none of these, and of that only one of the same kind.
  /// @throws Error(failed) when the monitor refuses, or does not answer in time; Error(interrupted)
  [[nodiscard]] virtual std::unique_ptr<Machine> resume(const MachineShape& shape,
                                                        const MachineFiles& files,
                                                        const StateFiles& state,
                                                        const ControlPatience& patience) = 0;
};

}  // namespace pyro
