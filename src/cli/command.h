// What a command of pyro is.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/context.h"

namespace pyro::cli {

/// One call of a command: declares its options, then runs with what they were set to.
class Command {
 public:
  virtual ~Command() = default;

  virtual void declare(Arguments& arguments) = 0;

  /// The exit code; failures are thrown.
  virtual int run(Context& context, const std::vector<std::string>& operands) = 0;

  [[nodiscard]] bool json() const noexcept { return json_; }

 protected:
  /// Every command that has something to tell a program has it.
  void declare_json(Arguments& arguments) {
    arguments.flag("--json", json_, "Print one JSON document");
  }

 private:
  bool json_ = false;
};

/// A row of the table of commands: all that help and parsing know of one.
struct CommandEntry {
  std::string_view group;     ///< "env"; empty for a command of one word.
  std::string_view name;      ///< "pull"
  std::string_view operands;  ///< "NAME..."
  std::size_t least_operands;
  std::size_t most_operands;
  std::string_view purpose;  ///< One line, without a full stop.
  std::string_view details;  ///< Shown by its own help below the purpose; lines with newlines.
  std::string_view examples;
  std::unique_ptr<Command> (*make)();
  /// What follows "--" is a command for a guest, and every failure but an interruption exits with
  /// this code; the command's own codes are the others.
  std::optional<int> guest_command_failure = std::nullopt;

  /// "env pull", "run"
  [[nodiscard]] std::string words() const {
    return group.empty() ? std::string(name) : std::string(group) + ' ' + std::string(name);
  }
};

inline constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

template <typename T>
[[nodiscard]] std::unique_ptr<Command> make_command() {
  return std::make_unique<T>();
}

}  // namespace pyro::cli
