// QEMU as the monitor: qemu-system-x86_64, 7.2 or later.
#pragma once

#include <filesystem>

#include "vm/monitor.h"

namespace pyro {

class Qemu : public MachineMonitor {
 public:
  explicit Qemu(std::filesystem::path program) : program_(std::move(program)) {}

  [[nodiscard]] std::unique_ptr<Machine> boot(const MachineShape& shape, const MachineFiles& files,
                                              std::optional<int> memory) override;
  [[nodiscard]] std::unique_ptr<Machine> resume(const MachineShape& shape,
                                                const MachineFiles& files, const StateFiles& state,
                                                const ControlPatience& patience) override;

  [[nodiscard]] std::string gaps() const override;

 private:
  std::filesystem::path program_;
};

/// "QEMU emulator version 7.2.22 (...)": the first line of what `program` says of its version;
/// empty when it fails.
/// @throws Error(filesystem) when it cannot be started
[[nodiscard]] std::string qemu_version(const std::filesystem::path& program);

}  // namespace pyro
