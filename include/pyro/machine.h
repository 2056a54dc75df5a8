// Machines: an installed environment, booted, with one command run in it.
//
// Source: spec section 9, `pyro run` and `pyro prepare`.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"
#include "pyro/error.h"

namespace pyro {

/// What executes a guest's instructions.
enum class Accelerator {
  kvm,  ///< The processor.
  tcg,  ///< QEMU in software: slower, and by QEMU's own policy no security boundary.
};

/// "kvm", "tcg".
[[nodiscard]] std::string_view to_string(Accelerator accelerator) noexcept;

/// Whether guests run with KVM. It works where it has run a guest since this host booted
/// (probe_kvm()); a run that begins with it never goes on in software.
enum class KvmUse {
  where_it_works,  ///< In software elsewhere.
  never,
  required,  ///< Where it does not work, there is no machine: Error(failed).
};

enum class GuestNetwork {
  none,
  /// Outgoing connections through QEMU's own NAT, with the rights of the calling user. So services
  /// that listen on the host's loopback only are reached, too, at 10.0.2.2.
  user,
};

/// What a machine may have; beyond it, whatever takes MachineOptions throws Error(usage).
inline constexpr unsigned kMaxCpus = 64;
inline constexpr unsigned kMinMemoryMib = 128;
inline constexpr unsigned kMaxMemoryMib = 1 << 20;

struct MachineOptions {
  unsigned cpus = 1;          ///< 1 to kMaxCpus.
  unsigned memory_mib = 512;  ///< Half of it is the most that files may take.
  GuestNetwork network = GuestNetwork::none;
  /// The machine monitor, qemu-system-x86_64. Empty: there is none on this host.
  std::filesystem::path monitor = {};
  KvmUse kvm = KvmUse::where_it_works;
  /// How long booting may take, all machines that are tried together.
  std::chrono::milliseconds boot_timeout{60'000};
};

/// `from` and `to` are paths on either side. As with cp -r: an existing directory, or a name that
/// ends with '/', is copied into; "DIR/." as `from` is the content of DIR; what exists keeps its
/// mode. On the host a pipe or device is read to its end or written into, and a symbolic link that
/// is named is followed. Modes and times are copied; owners and set-user-id bits are not.
struct Copy {
  std::string from;
  std::string to;
};

struct RunOptions {
  MachineOptions machine;
  /// The program, looked up in the guest's PATH, and its arguments, passed on byte for byte.
  std::vector<std::string> command;
  /// "NAME=value", on top of PATH, HOME, USER, LOGNAME and LANG.
  std::vector<std::string> variables = {};
  /// Where it runs; empty: its home directory.
  std::string directory = {};

  /// Descriptors for its standard streams, not owned. Input of -1 is empty.
  int input = -1;
  int output = 1;
  int error_output = 2;
  /// How much of either is passed on, in bytes; what comes after is dropped.
  std::optional<std::uint64_t> output_limit = {};
  /// Its streams are a terminal; what it says all goes to `output`.
  bool terminal = false;
  /// A terminal whose size the command's takes on and follows, or -1.
  int window = -1;
  /// Called on the run's thread when all is ready and the command is about to start; what it
  /// returns is kept until the command has ended. A terminal's keys can be the command's for that
  /// long: before and after it, Ctrl-C ends the run.
  std::function<std::shared_ptr<void>()> while_it_runs = {};

  std::vector<Copy> copy_in = {};  ///< Before the command, from the host to the guest.
  /// After it, from the guest to the host, however it ended; not when the guest did not even kill
  /// it, and its machine had to be ended.
  std::vector<Copy> copy_out = {};

  /// For the command; then it is told to end (SIGTERM). The copies before it, and those after it,
  /// may take as long together, and a minute at least.
  std::optional<std::chrono::milliseconds> timeout = {};
  /// How long a command that is told to end may take over it, before it is killed.
  std::chrono::milliseconds stop_timeout{10'000};
  /// Boot, even if a prepared state would serve.
  bool cold = false;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Before the command runs, a stop ends the machine with Error(interrupted). While it runs, the
  /// command is told to end, and its report is as that of any other. After it, a stop ends the
  /// copying.
  std::stop_token stop = {};
  /// The signal that tells the command so; called when a stop is requested. Empty: SIGINT.
  std::function<int()> stop_signal = {};
  /// A descriptor that other signals for the command are read from while it runs: a byte for each,
  /// which is its number. Not owned, not blocking; -1: there are none.
  int signals = -1;
};

struct RunReport {
  /// As a shell would say it: 128 + n for a signal, 124 timed out, 126 not executable, 127 not
  /// found.
  int exit_code = 0;
  int signal = 0;  ///< That ended the command, or 0.
  bool timed_out = false;
  /// Why the command could not be started, in one line; empty when it was.
  std::string refusal = {};
  /// Of the first copy that could not be made after the command, or was interrupted, or could not
  /// be read as a whole before it; further ones are warned of.
  std::optional<Error> copy_failure = {};
  bool warm = false;  ///< It went on from a prepared state.
  Accelerator accelerator = Accelerator::tcg;
  std::chrono::microseconds ready_after{};   ///< Until the guest took commands.
  std::chrono::microseconds command_time{};  ///< From there until the command ended.
  std::chrono::microseconds total_time{};
};

/// Installs `name` if needed, boots it, runs the command and ends the machine. Nothing of what the
/// guest changed is kept, and the environment cannot be pruned meanwhile.
///
/// Any number of runs may go on at the same time, each in its own thread or process. A run must
/// stay on the thread it began on, as the machine ends with it. A program that passes on output to
/// pipes has to ignore SIGPIPE; a reader that goes away is then the command's to notice.
/// @throws Error: those of ensure_installed(); failed, when no machine can be had or it broke, or a
///         copy before the command could not be made; interrupted, before the command ran.
RunReport run_in_machine(EnvironmentStore& store, std::string_view name, const RunOptions& options);

struct PrepareOptions {
  MachineOptions machine;
  bool force = false;  ///< Make it anew, whatever is there.
  ProgressListener* progress = nullptr;
  std::stop_token stop = {};
};

/// One step of a preparation.
struct PrepareStep {
  std::string name;
  std::chrono::microseconds time{};
};

struct PrepareReport {
  std::string name;
  std::string version;
  bool prepared_before = false;  ///< All of it matched, and nothing was done.
  std::filesystem::path manifest;
  Accelerator accelerator = Accelerator::tcg;
  std::uint64_t state_bytes = 0;  ///< Disk space of the saved state.
  std::vector<PrepareStep> steps;
};

/// Makes the next runs of `name` fast: installs it, boots it, saves the machine's state, and proves
/// that commands run from there.
/// @throws Error: as run_in_machine().
PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options);

enum class Readiness {
  cold,   ///< Not installed, or never prepared.
  warm,   ///< A run starts from the saved state.
  stale,  ///< Something has changed since.
};

/// "cold", "warm", "stale".
[[nodiscard]] std::string_view to_string(Readiness readiness) noexcept;

struct ReadinessReport {
  Readiness readiness = Readiness::cold;
  bool installed = false;
  /// Why it is not warm, in one line each.
  std::vector<std::string> reasons;
};

/// Whether a run of `name` with a machine like this would start from a saved state. No network.
/// @throws Error(not_found) when the catalog does not have it.
[[nodiscard]] ReadinessReport machine_readiness(const EnvironmentStore& store,
                                                std::string_view name,
                                                const MachineOptions& options);

enum class KvmStatus {
  usable,
  absent,   ///< There is no /dev/kvm.
  denied,   ///< This user may not open it.
  broken,   ///< It runs no guest.
  untried,  ///< There is no monitor to try it with.
};

/// Whether KVM runs guests here, found out by running one.
struct KvmReport {
  KvmStatus status = KvmStatus::usable;
  std::string reason = {};  ///< In one line.
  /// Found out before, and not tried again.
  bool remembered = false;

  [[nodiscard]] bool usable() const noexcept { return status == KvmStatus::usable; }
};

/// Answers from what was found out since this host booted, if the cache says so; with an empty
/// `cache_dir` nothing is remembered.
[[nodiscard]] KvmReport probe_kvm(const std::filesystem::path& cache_dir,
                                  const std::filesystem::path& monitor);

}  // namespace pyro
