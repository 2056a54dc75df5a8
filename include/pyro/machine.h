// Machines: runs one command in a virtual machine that is booted from an environment.
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
  kvm,  ///< The processor, through KVM.
  tcg,  ///< QEMU in software: slower, and no security boundary by QEMU's own policy.
};

/// "kvm", "tcg".
[[nodiscard]] std::string_view to_string(Accelerator accelerator) noexcept;

/// Whether to use KVM. It works if it ran a test guest since the host booted (probe_kvm()). A run
/// that starts with KVM never falls back to software.
enum class KvmUse {
  where_it_works,  ///< Otherwise software.
  never,
  required,  ///< Error(failed) if it does not work.
};

enum class GuestNetwork {
  none,
  /// Outgoing connections through QEMU's NAT, with the rights of the calling user. Services on the
  /// loopback interface of the host are reachable, too, at 10.0.2.2.
  user,
};

/// Bounds of MachineOptions; functions throw Error(usage) for values beyond.
inline constexpr unsigned kMaxCpus = 64;
inline constexpr unsigned kMinMemoryMib = 128;
inline constexpr unsigned kMaxMemoryMib = 1 << 20;

struct MachineOptions {
  unsigned cpus = 1;          ///< 1 to kMaxCpus.
  unsigned memory_mib = 512;  ///< Files, in an overlay in memory, may take half of it.
  GuestNetwork network = GuestNetwork::none;
  /// The machine monitor, qemu-system-x86_64. Empty when the host has none.
  std::filesystem::path monitor = {};
  KvmUse kvm = KvmUse::where_it_works;
  /// How long booting may take, with all fallbacks together.
  std::chrono::milliseconds boot_timeout{60'000};
};

/// A copy between host and guest, with the rules of cp -r: if `to` is an existing directory or ends
/// with
/// '/', the copy is made in it; "DIR/." as `from` is the content of DIR; existing files keep their
/// mode. On the host a pipe or device is read to its end or written to, and a symbolic link as
/// `from` or `to` is followed. Modes and times are copied; owners and set-user-id bits are not.
struct Copy {
  std::string from;
  std::string to;
};

struct RunOptions {
  MachineOptions machine;
  /// The program, searched in the guest's PATH, and its arguments, byte for byte.
  std::vector<std::string> command;
  /// "NAME=value", in addition to PATH, HOME, USER, LOGNAME and LANG.
  std::vector<std::string> variables = {};
  /// The working directory; empty for the home directory.
  std::string directory = {};

  /// Descriptors for its standard streams, not owned. An input of -1 is empty.
  int input = -1;
  int output = 1;
  int error_output = 2;
  /// Bytes of each output that are passed on; the rest is dropped.
  std::optional<std::uint64_t> output_limit = {};
  /// Its streams are a terminal; all output goes to `output`.
  bool terminal = false;
  /// A terminal whose size that of the command follows, or -1.
  int window = -1;
  /// Called on the thread of the run just before the command starts. The returned object is
  /// destroyed when the command has ended: a guard, for example one that puts a terminal into raw
  /// mode.
  std::function<std::shared_ptr<void>()> on_command_started = {};

  std::vector<Copy> copy_in = {};  ///< From the host to the guest, before the command.
  /// From the guest to the host, after the command, however it ended; except when the guest failed
  /// to kill it.
  std::vector<Copy> copy_out = {};

  /// After this the command gets SIGTERM. The copies before it may take as long together, and so
  /// may those after it; at least a minute.
  std::optional<std::chrono::milliseconds> timeout = {};
  /// From that signal until the command is killed.
  std::chrono::milliseconds stop_timeout{10'000};
  /// Boot even if there is a prepared state.
  bool cold = false;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// A stop request before the command ends the run with Error(interrupted). During the command it
  /// sends `stop_signal`, and the report is returned as usual. After it, it ends the copies.
  std::stop_token stop = {};
  /// Called on a stop request: the signal for the command. Empty for SIGINT.
  std::function<int()> stop_signal = {};
  /// A non-blocking descriptor with further signals for the command, a byte with the number for
  /// each. Not owned; -1 for none.
  int signals = -1;
};

struct RunReport {
  /// As in a shell: 128 + n for a signal, 124 timed out, 126 not executable, 127 not found.
  int exit_code = 0;
  int signal = 0;  ///< The signal that ended the command, or 0.
  bool timed_out = false;
  /// Why the command could not be started, in one line; empty if it was.
  std::string refusal = {};
  /// The error of the first copy that failed after the command, or was incomplete before it.
  /// Further ones are warnings.
  std::optional<Error> copy_failure = {};
  bool warm = false;  ///< It resumed from a prepared state.
  Accelerator accelerator = Accelerator::tcg;
  std::chrono::microseconds ready_after{};   ///< Until the guest accepted commands.
  std::chrono::microseconds command_time{};  ///< From there to the end of the command.
  std::chrono::microseconds total_time{};
};

/// Installs `name` if needed, boots it, runs the command and kills the machine. Changes in the
/// guest are lost. The environment cannot be pruned meanwhile.
///
/// Thread-safety: any number of runs at the same time. The machine ends with the thread that calls
/// this. A program with pipes as outputs has to ignore SIGPIPE; the command gets a closed pipe
/// then.
/// @throws Error: as ensure_installed(); failed when the machine or a copy before the command
/// failed; interrupted before the command ran.
RunReport run_in_machine(EnvironmentStore& store, std::string_view name, const RunOptions& options);

struct PrepareOptions {
  MachineOptions machine;
  bool force = false;  ///< Replace a state that matches, too.
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
  bool prepared_before = false;  ///< There was a state that matches, and nothing was done.
  std::filesystem::path manifest;
  Accelerator accelerator = Accelerator::tcg;
  std::uint64_t state_bytes = 0;  ///< Disk space of the state.
  std::vector<PrepareStep> steps;
};

/// Prepares `name` for fast runs: installs it, boots it, saves the state of the machine, and tests
/// that a command runs after a resume.
/// @throws Error: as run_in_machine().
PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options);

enum class Readiness {
  cold,   ///< Not installed, or never prepared.
  warm,   ///< A run resumes from the prepared state.
  stale,  ///< The prepared state does not match any more.
};

/// "cold", "warm", "stale".
[[nodiscard]] std::string_view to_string(Readiness readiness) noexcept;

struct ReadinessReport {
  Readiness readiness = Readiness::cold;
  bool installed = false;
  /// Why it is not warm, one line each.
  std::vector<std::string> reasons;
};

/// Whether a run of `name` with these options would resume from a prepared state. No network.
/// @throws Error(not_found) when the catalog does not have it.
[[nodiscard]] ReadinessReport machine_readiness(const EnvironmentStore& store,
                                                std::string_view name,
                                                const MachineOptions& options);

enum class KvmStatus {
  usable,
  absent,   ///< There is no /dev/kvm.
  denied,   ///< This user may not open it.
  broken,   ///< It does not run guests.
  untried,  ///< There is no monitor to test it with.
};

/// Whether KVM works, by a test guest.
struct KvmReport {
  KvmStatus status = KvmStatus::usable;
  std::string reason = {};  ///< In one line.
  /// The stored result of an earlier test.
  bool remembered = false;

  [[nodiscard]] bool usable() const noexcept { return status == KvmStatus::usable; }
};

/// Returns the result in the cache if it is of this boot of the host and of this monitor, else runs
/// a test guest and stores the result. With an empty `cache_dir` nothing is stored.
[[nodiscard]] KvmReport probe_kvm(const std::filesystem::path& cache_dir,
                                  const std::filesystem::path& monitor);

}  // namespace pyro
