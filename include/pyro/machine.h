// Machines: runs commands in virtual machines that are made from environments (`pyro run`), and
// prepares their next start (`pyro prepare`).
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

/// The way in which a guest's instructions are executed.
enum class Accelerator {
  kvm,  ///< By the processor, through KVM.
  tcg,  ///< By QEMU in software: slower, and no security boundary by QEMU's own policy.
};

/// "kvm", "tcg".
[[nodiscard]] std::string_view to_string(Accelerator accelerator) noexcept;

/// Whether to use KVM. It works if it ran a test guest since the host booted (probe_kvm()). A run
/// that starts with KVM never falls back to software.
enum class KvmUse {
  where_it_works,  ///< Use software emulation otherwise.
  never,
  required,  ///< Error(failed) if it does not work.
};

/// The network of a guest. With one it can also reach private networks and a cloud's metadata
/// address, as this host does.
enum class GuestNetwork {
  none,
  user,           ///< Outgoing connections through passt, without this host's loopback interface.
  user_and_host,  ///< Outgoing connections through QEMU; 10.0.2.2 is this host's loopback.
};

/// "none", "user", "user+host".
[[nodiscard]] std::string_view to_string(GuestNetwork network) noexcept;

/// Bounds of MachineOptions; functions throw Error(usage) for values outside them.
inline constexpr unsigned kMaxCpus = 64;
inline constexpr unsigned kMinMemoryMib = 128;
inline constexpr unsigned kMaxMemoryMib = 1 << 20;
inline constexpr unsigned kMinDiskMib = 64;
inline constexpr unsigned kMaxDiskMib = 1 << 24;

/// QEMU: $PYRO_QEMU, else qemu-system-x86_64 in $PATH; empty where there is none. Not safe while
/// another thread sets variables.
[[nodiscard]] std::filesystem::path find_monitor();
/// The same with the values that `variables` returns.
[[nodiscard]] std::filesystem::path find_monitor(
    const std::function<std::optional<std::string>(const char* name)>& variables);

/// $XDG_STATE_HOME/pyro/state.key, else ~/.local/state/pyro/state.key; empty without both
/// variables. Not safe while another thread sets variables.
[[nodiscard]] std::filesystem::path find_state_key_file();
/// The same with the values that `variables` returns.
[[nodiscard]] std::filesystem::path find_state_key_file(
    const std::function<std::optional<std::string>(const char* name)>& variables);

/// The hardware of a machine, and the program that emulates it.
struct MachineOptions {
  unsigned cpus = 1;  ///< Processors: 1 to kMaxCpus.
  /// 0: 512, or 2048 for a container. Files that the guest writes may take half of it, unless they
  /// have a disk.
  unsigned memory_mib = 0;
  /// The size of a scratch disk, which takes the files that the guest writes, and is gone with the
  /// machine. It is a sparse file in the cache, made by mke2fs. 0: none.
  unsigned disk_mib = 0;
  GuestNetwork network = GuestNetwork::none;
  /// The machine monitor, qemu-system-x86_64. Empty when the host has none.
  std::filesystem::path monitor = find_monitor();
  KvmUse kvm = KvmUse::where_it_works;
  /// The limit for booting, with all fallbacks together.
  std::chrono::milliseconds boot_timeout{60'000};
  /// Whether runs may leave states in the cache: the first boot of a kernel leaves one for all
  /// images that boot it, the second run of an image with one shape of machine leaves its prepared
  /// state.
  bool saves_states = true;
  /// Authenticates the states in the cache: one that was not made with this key is not used. At
  /// least 16 bytes, or empty for the key in `state_key_file`, which is made when it is needed.
  std::string state_key = {};
  std::filesystem::path state_key_file = find_state_key_file();
  /// The environment whose kernel a container boots; it is installed if needed. Without one, that
  /// of the catalog entry, else what StoreOptions say.
  std::optional<std::string> base = {};
};

/// A copy between host and guest, with the rules of cp -r: if `to` is an existing directory or ends
/// with '/', the copy is made in it; "DIR/." as `from` is the content of DIR; existing files keep
/// their mode. On the host a pipe or device is read to its end or written to, and a symbolic link
/// as `from` or `to` is followed. Modes and times are copied; owners and set-user-id bits are not.
struct Copy {
  std::string from;
  std::string to;
};

/// A command of a machine, with its streams.
struct CommandOptions {
  /// The program, searched in the guest's PATH, and its arguments, byte for byte. Of a container
  /// image it may be empty: then the image's entrypoint and command are run.
  std::vector<std::string> command;
  /// Put the image's entrypoint in front of the command.
  bool entrypoint = false;
  /// "NAME=value", in addition to those of a container image, and to PATH, HOME, USER, LOGNAME and
  /// LANG.
  std::vector<std::string> variables = {};
  /// The working directory. Empty for that of the image, which is made if it is missing, or the
  /// home directory.
  std::string directory = {};
  /// Make the working directory where it is missing.
  bool make_directory = false;
  /// "NAME", "NAME:GROUP", or numbers; looked up in the guest. Empty for that of the image, or
  /// root.
  std::string user = {};
  /// The signal that ends the command after a timeout. 0 for that of the image, or SIGTERM.
  int end_signal = 0;

  /// Descriptors for the standard streams of the command, not owned. An input of -1 is empty.
  int input = -1;
  int output = 1;
  int error_output = 2;
  /// The number of bytes of each output that are passed on; the rest is dropped.
  std::optional<std::uint64_t> output_limit = {};
  /// Give the command a terminal as its streams; all its output goes to `output`.
  bool terminal = false;
  /// A terminal of the host whose size the command's terminal follows, or -1. Not owned.
  int window = -1;
  /// Called on the calling thread just before the command starts. The returned object is destroyed
  /// when the command has ended: a guard, for example one that puts a terminal into raw mode.
  std::function<std::shared_ptr<void>()> before_command = {};

  /// The limit for the command, after which it gets SIGTERM.
  std::optional<std::chrono::milliseconds> timeout = {};
  /// The time from the signal that is to end the command to SIGKILL.
  std::chrono::milliseconds stop_timeout{10'000};
  /// A stop request sends `stop_signal` to the command, and the report is returned as usual.
  std::stop_token stop = {};
  /// Called on a stop request: the signal for the command. Empty for SIGINT.
  std::function<int()> stop_signal = {};
  /// A non-blocking descriptor with further signals for the command, a byte with the number for
  /// each. Not owned; -1 for none.
  int signals = -1;
  /// Kill all other processes of the machine when the command ends. Otherwise those that it left
  /// go on.
  bool ends_all_processes = false;
};

/// How a command ended.
struct CommandReport {
  /// As in a shell: 128 + n for a signal, 124 timed out, 126 not executable, 127 not found.
  int exit_code = 0;
  int signal = 0;  ///< The signal that ended the command, or 0.
  bool timed_out = false;
  bool interrupted = false;  ///< By a stop request.
  /// The guest failed to kill it, and takes no further requests.
  bool is_stuck = false;
  /// Why the command could not be started, in one line; empty if it was.
  std::string refusal = {};
  std::chrono::microseconds command_time{};  ///< From its request until its end.
};

/// How a machine was started.
enum class MachineStart {
  boot,
  kernel_state,    ///< From the state that the first boot of its kernel left.
  prepared_state,  ///< From that of prepare_machine().
  saved_machine,   ///< From the memory of a workspace.
};

/// "cold", "kernel", "warm", "resumed".
[[nodiscard]] std::string_view to_string(MachineStart start) noexcept;

/// A TCP port of the host whose connections go to a port of the guest, whatever its network is.
struct PortOptions {
  std::string address = "127.0.0.1";  ///< Of the host, in numbers: IPv4 or IPv6.
  std::uint16_t port = 0;             ///< 0 for any that is free.
  std::uint16_t guest_port = 0;       ///< Of its loopback interface.
};

/// Parses "[ADDRESS:]PORT:GUESTPORT", with an IPv6 address in brackets.
/// @throws Error(usage)
[[nodiscard]] PortOptions parse_port_options(std::string_view text);

struct StartOptions {
  bool cold = false;  ///< Boot even if there is a state to go on from.
  /// Taken before the machine starts, and served when it takes commands.
  std::vector<PortOptions> ports = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null. Used until it has started.
  /// Ends the start with Error(interrupted).
  std::stop_token stop = {};
};

/// What a machine is.
struct MachineInfo {
  std::string environment;
  std::string version;
  MachineStart start = MachineStart::boot;
  Accelerator accelerator = Accelerator::tcg;
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  std::chrono::microseconds ready_after{};  ///< From the call until the guest accepted commands.
  std::vector<PortOptions> ports = {};      ///< Of its start, with the ports that were chosen.
};

struct CopyOptions {
  /// The limit for the whole copy. A guest that gives no sign for a minute fails it in any case.
  std::optional<std::chrono::milliseconds> timeout = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the copy with Error(interrupted).
  std::stop_token stop = {};
};

/// A command that goes on beside the thread that started it.
///
/// Thread-safety: wait() from one thread at a time, signal() from any.
class RunningCommand {
 public:
  /// Kills the command if it has not ended, and waits for its end.
  ~RunningCommand();
  RunningCommand(RunningCommand&&) noexcept;
  RunningCommand& operator=(RunningCommand&&) noexcept;

  /// Sends a signal to its process group. Ignored when it has ended.
  void signal(int number);
  /// Waits for its end. Further calls return the same.
  /// @throws Error as Machine::run()
  CommandReport wait();

 private:
  friend class Machine;
  class Thread;
  explicit RunningCommand(std::unique_ptr<Thread> thread);
  std::unique_ptr<Thread> thread_;
};

/// A virtual machine that runs an environment, from the constructor until it is stopped. Its
/// environment cannot be pruned meanwhile. Changes in the guest are lost.
///
/// Thread-safety: any number of threads may run commands and copies at the same time. A program
/// whose outputs are pipes must ignore SIGPIPE; the command then gets a closed pipe. A machine ends
/// with its process, however that ends.
class Machine {
 public:
  /// Installs `name` if needed, and starts a machine from the best state there is.
  /// @throws Error: as ensure_installed(); usage for options out of bounds; failed if the machine
  /// does not come up, or a port is taken; interrupted.
  Machine(EnvironmentStore& store, std::string_view name, const MachineOptions& options = {},
          const StartOptions& start = {});
  /// Stops it.
  ~Machine();
  Machine(Machine&&) noexcept;
  Machine& operator=(Machine&&) noexcept;

  [[nodiscard]] const MachineInfo& info() const noexcept;

  /// Runs a command to its end.
  /// @throws Error: usage for an impossible command; failed if the machine ended meanwhile, or the
  /// image has no such user; filesystem if an output cannot be written
  CommandReport run(const CommandOptions& command);
  /// Starts a command. Its descriptors must stay open until it has ended, and its callbacks are
  /// called on another thread; `signals` is not used. The command must end before the machine is
  /// destroyed.
  [[nodiscard]] RunningCommand spawn(CommandOptions command);

  /// Copies from the host to the guest.
  /// @return the number of files that could not be read and were left out
  /// @throws Error naming the path that failed
  std::size_t copy_in(const Copy& copy, const CopyOptions& options = {});
  /// Copies from the guest to the host. Nothing is written outside of `copy.to`.
  void copy_out(const Copy& copy, const CopyOptions& options = {});

  /// Publishes a port until the machine is stopped. Connections are reset where nothing listens in
  /// the guest.
  /// @return the port of the host
  /// @throws Error(usage) for an invalid address; (failed) for a port that is taken
  std::uint16_t publish(const PortOptions& port);

  /// Kills it; its commands, copies and ports end. Changes are lost.
  void stop() noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// A command with its machine.
struct RunOptions : CommandOptions {
  MachineOptions machine;
  std::vector<Copy> copy_in = {};  ///< From the host to the guest, before the command.
  /// From the guest to the host, after the command, however it ended. Nothing is copied if the
  /// guest failed to kill the command.
  std::vector<Copy> copy_out = {};
  /// Boot even if there is a state to go on from, and leave none.
  bool cold = false;
  std::vector<PortOptions> ports = {};   ///< Published while it runs.
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
};

/// The result of a run.
struct RunReport : CommandReport {
  /// The error of the first copy that failed after the command, or was incomplete before it.
  /// Further ones are warnings.
  std::optional<Error> copy_failure = {};
  MachineStart start = MachineStart::boot;
  Accelerator accelerator = Accelerator::tcg;
  std::chrono::microseconds ready_after{};  ///< From the call until the guest accepted commands.
  std::chrono::microseconds total_time{};   ///< From the call to the end of the run.
};

/// Runs one command in a machine of its own, with copies before and after it. All other processes
/// of the machine are killed when the command ends. All copies before it together, and all copies
/// after it together, have the timeout of the command, or a minute if that is more. A stop request
/// before the command ends the run with Error(interrupted), and after it the copies.
///
/// Thread-safety: any number of runs at the same time.
/// @throws Error: as Machine and Machine::run(), and for a copy before the command that failed
RunReport run_in_machine(EnvironmentStore& store, std::string_view name, const RunOptions& options);

struct PrepareOptions {
  MachineOptions machine;
  bool force = false;                    ///< Replace even a state that matches.
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the preparation with Error(interrupted).
  std::stop_token stop = {};
};

/// One step of a preparation, and its duration.
struct PrepareStep {
  std::string name;
  std::chrono::microseconds time{};
};

/// The result of a preparation.
struct PrepareReport {
  std::string name;
  std::string version;
  bool prepared_before = false;    ///< A matching state existed, and nothing was done.
  std::filesystem::path manifest;  ///< Its file, described in docs/formats.md.
  Accelerator accelerator = Accelerator::tcg;
  std::uint64_t state_bytes = 0;  ///< Disk space of the state.
  std::vector<PrepareStep> steps;
};

/// Prepares `name` for fast runs: installs it, boots it, saves the state of the machine, and tests
/// that a command runs after a resume. Thread-safety: as run_in_machine().
/// @throws Error: as run_in_machine().
PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options);

/// A machine that runs on this host.
struct RunningMachine {
  std::string environment;  ///< Untrusted: as its process says.
  MachineStart start = MachineStart::boot;
  std::chrono::system_clock::time_point since;
  /// What it holds now, with its share of what machines have in common.
  std::uint64_t memory_bytes = 0;
  std::string user;  ///< Its name, or the number of a user without one.
  int process = 0;   ///< That runs it: its monitor's parent.
  int monitor = 0;   ///< QEMU.
};

/// The machines of all users that /proc shows, the oldest first. Thread-safe.
[[nodiscard]] std::vector<RunningMachine> running_machines();

/// The way in which a run of an environment would start.
enum class Readiness {
  cold,   ///< By booting: not installed, or never prepared.
  warm,   ///< From the prepared state.
  stale,  ///< By booting: the prepared state no longer matches.
};

/// "cold", "warm", "stale".
[[nodiscard]] std::string_view to_string(Readiness readiness) noexcept;

struct ReadinessReport {
  Readiness readiness = Readiness::cold;
  bool installed = false;
  /// The reasons if it is not warm, one line each.
  std::vector<std::string> reasons;
};

/// Whether a run of `name` with these options would resume from a prepared state. No network.
/// @throws Error(not_found) if the catalog does not have it.
[[nodiscard]] ReadinessReport machine_readiness(const EnvironmentStore& store,
                                                std::string_view name,
                                                const MachineOptions& options);

/// The result of testing KVM.
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
  std::string reason = {};  ///< Why it is not usable, in one line.
  /// Whether this is the stored result of an earlier test.
  bool remembered = false;

  [[nodiscard]] bool usable() const noexcept { return status == KvmStatus::usable; }
};

/// Tests KVM with a test guest and stores the result in the cache. A stored result of this boot of
/// the host and of this monitor is returned without a test. With an empty `cache_dir` nothing is
/// stored. Throws nothing for a KVM that does not work. Thread-safe.
[[nodiscard]] KvmReport probe_kvm(const std::filesystem::path& cache_dir,
                                  const std::filesystem::path& monitor);

}  // namespace pyro
