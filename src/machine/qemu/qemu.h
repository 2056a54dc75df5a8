// QEMU as the virtual machine monitor: qemu-system-x86_64, 7.2 or later.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "machine/monitor.h"

namespace pyro {

/// The descriptors that QEMU gets, in the order of their numbers. Arguments have no paths.
enum class QemuDescriptor {
  channel,
  console,
  control,
  kernel,
  initramfs,
  rootfs,
  memory,
  devices,
  scratch,
  network
};

enum class QemuStart {
  boot,
  boot_to_save,  ///< The memory is in a file that is written to.
  resume,        ///< The memory is in a file that is mapped privately.
  resume_to_save,
};

[[nodiscard]] std::vector<std::string> qemu_arguments(const MachineConfig& config, QemuStart start,
                                                      const MachineFiles& files = {});

/// For a small KVM machine that runs the stub kernel of machine/qemu/kvm_probe.h, which is its only
/// descriptor.
[[nodiscard]] std::vector<std::string> qemu_probe_arguments();

/// The QMP commands that resume a machine that was started with QemuStart::resume.
[[nodiscard]] std::string qemu_resume_commands();
inline constexpr int kQemuResumeCommands = 3;

/// Answers of QEMU, one JSON object a line. They are untrusted: a guest may have taken QEMU over.
class QemuAnswers {
 public:
  void add(std::string_view bytes) { bytes_ += bytes; }

  /// The result of the next command; nothing while it is incomplete. Events and the greeting are
  /// skipped.
  /// @throws Error(failed) with QEMU's reason for an error, and for an invalid or too long line
  [[nodiscard]] std::optional<nlohmann::json> next();

 private:
  [[nodiscard]] std::optional<std::string> next_line();

  std::string bytes_;
  std::size_t taken_ = 0;
  std::size_t searched_ = 0;  ///< No line ends before it.
};

/// Whether `answer` to query-migrate says that the state is saved; false while that goes on.
/// @throws Error(failed) with QEMU's reason
[[nodiscard]] bool says_saved(const nlohmann::json& answer);

/// The machine protocol (QMP), as far as saving and resuming need it.
class QemuControl {
 public:
  explicit QemuControl(Fd socket) : socket_(std::move(socket)) {}

  /// Writes the state of the devices, without the memory, and waits for its end.
  /// @throws Error(failed) when QEMU fails or does not answer in time; Error(interrupted)
  void save(int devices, const ControlTimeout& timeout);

  /// Lets a machine that was saved go on.
  /// @throws as save()
  void go_on(const ControlTimeout& timeout);

  /// Resumes a machine that was started with QemuStart::resume.
  /// @throws as save()
  void resume(const ControlTimeout& timeout);

 private:
  /// Returns the result; `descriptor` is passed along for getfd.
  nlohmann::json call(const nlohmann::json& command, const ControlTimeout& timeout,
                      int descriptor = -1);
  void send(const std::string& commands, int descriptor = -1);
  nlohmann::json answer(const ControlTimeout& timeout);
  void wait_until_saved(const ControlTimeout& timeout);

  void negotiate(const ControlTimeout& timeout);

  Fd socket_;
  QemuAnswers answers_;
  bool is_negotiated_ = false;
};

class Qemu : public MachineMonitor {
 public:
  explicit Qemu(std::filesystem::path program) : program_(std::move(program)) {}

  [[nodiscard]] const std::filesystem::path& program() const noexcept override { return program_; }
  [[nodiscard]] std::string version() const override;
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] KvmReport probe_kvm(const std::filesystem::path& cache_dir) const override;
  [[nodiscard]] std::vector<MachineConfig> candidates(const MachineConfig& asked) const override;
  [[nodiscard]] std::string gaps() const override;

  [[nodiscard]] std::unique_ptr<VirtualMachine> boot(const MachineConfig& config,
                                                     const MachineFiles& files,
                                                     std::optional<int> memory) override;
  [[nodiscard]] std::unique_ptr<VirtualMachine> resume(const MachineConfig& config,
                                                       const MachineFiles& files,
                                                       const StateFiles& state, bool can_be_saved,
                                                       const ControlTimeout& timeout) override;

 private:
  std::filesystem::path program_;
};

}  // namespace pyro
