// QEMU's machine protocol, as far as saving takes it: one JSON document a line.
#pragma once

#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/files.h"
#include "vm/deadline.h"

namespace pyro {

/// How long QEMU is waited for.
struct ControlPatience {
  Deadline deadline;
  std::stop_token stop;
};

class QemuControl {
 public:
  explicit QemuControl(Fd socket) : socket_(std::move(socket)) {}

  /// Whatever comes of it.
  void send(std::string_view commands);

  /// What is returned, with `descriptor` handed over for getfd.
  /// @throws Error(failed) when it refuses or does not answer in time; Error(interrupted)
  nlohmann::json call(const nlohmann::json& command, const ControlPatience& patience,
                      int descriptor = -1);

  /// Writes the state of the devices, without the memory, and returns when all of it is there.
  /// @throws as call()
  void save(int devices, const ControlPatience& patience);

 private:
  nlohmann::json answer(const ControlPatience& patience);
  std::string line(const ControlPatience& patience);
  void wait_until_saved(const ControlPatience& patience);

  Fd socket_;
  std::string buffer_;
};

}  // namespace pyro
