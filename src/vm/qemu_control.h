// QEMU's machine protocol, as far as saving and going on take it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "vm/monitor.h"

namespace pyro {

/// What QEMU says: one JSON object a line. It may be anything, as a guest may have taken QEMU over.
class QemuAnswers {
 public:
  void add(std::string_view bytes) { bytes_ += bytes; }

  /// What the next command returns; nothing until all of that is there. Events and the greeting are
  /// passed over.
  /// @throws Error(failed) with QEMU's reason when it refuses, and for what is no object, or longer
  ///         than a line may be
  [[nodiscard]] std::optional<nlohmann::json> next();

 private:
  [[nodiscard]] std::optional<std::string> next_line();

  std::string bytes_;
  std::size_t taken_ = 0;
  std::size_t searched_ = 0;  ///< There is no end of a line before it.
};

/// Whether `answer` to query-migrate says that the state is saved; false while it is being saved.
/// @throws Error(failed) when it cannot be, with QEMU's reason
[[nodiscard]] bool says_saved(const nlohmann::json& answer);

class QemuControl {
 public:
  explicit QemuControl(Fd socket) : socket_(std::move(socket)) {}

  /// Writes the state of the devices, without the memory, and returns when all of it is there.
  /// @throws Error(failed) when QEMU refuses or does not answer in time; Error(interrupted)
  void save(int devices, const ControlPatience& patience);

  /// Lets a machine that was started for it go on from its state.
  /// @throws as save()
  void resume(const ControlPatience& patience);

 private:
  /// What is returned, with `descriptor` handed over for getfd.
  nlohmann::json call(const nlohmann::json& command, const ControlPatience& patience,
                      int descriptor = -1);
  void send(const std::string& commands, int descriptor = -1);
  nlohmann::json answer(const ControlPatience& patience);
  void wait_until_saved(const ControlPatience& patience);

  Fd socket_;
  QemuAnswers answers_;
};

}  // namespace pyro
