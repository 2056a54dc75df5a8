// The interface of commands.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/terminal.h"
#include "front/settings.h"
#include "pyro/environment_store.h"

namespace pyro::cli {

/// The options that stand before or after any command.
struct GlobalOptions : SettingOverrides {
  int verbosity = 0;  ///< How often -v was given.
  bool version = false;
  bool help = false;
};

void declare(Arguments& arguments, GlobalOptions& options);

/// The settings and streams of a command.
struct Context {
  StoreOptions store;
  std::stop_token stop;
  Terminal out;
  Terminal err;
  int verbosity = 0;  ///< How often -v was given.
  Variables variables = {};
  /// The command that is to run in a guest; nothing where none is given.
  std::optional<Words> guest_command = {};
  /// The catalogs as they are now: another command may have added an entry.
  std::function<Catalog()> reload_catalog = {};
};

/// One call of a command: declares its options, then runs with their values.
class Command {
 public:
  virtual ~Command() = default;

  virtual void declare(Arguments& arguments) = 0;

  /// Returns the exit code.
  /// @throws Error
  virtual int run(Context& context, const Words& operands) = 0;

  [[nodiscard]] bool json() const noexcept { return json_; }

 protected:
  void declare_json(Arguments& arguments) {
    arguments.flag("--json", json_, "Print one JSON document");
  }

 private:
  bool json_ = false;
};

inline constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

/// What a command's operands are.
enum class OperandUse {
  other,
  names,   ///< Of environments, or references to images.
  images,  ///< The same, and an image that no catalog has is added to the user's.
};

/// A row of the table of commands, the source of help and parsing.
struct CommandEntry {
  std::string_view group;     ///< "env"; empty for a command of one word.
  std::string_view name;      ///< "pull"
  std::string_view operands;  ///< "NAME..."
  std::size_t min_operands;
  std::size_t max_operands;
  std::string_view purpose;  ///< One line, without a full stop.
  std::string_view details;  ///< Shown by its own help below the purpose; lines with newlines.
  std::string_view examples;
  std::unique_ptr<Command> (*make)();
  /// Set for commands that run another one, given behind the operands, in a guest: the exit code of
  /// every failure of pyro but an interruption. Other codes are the guest command's.
  std::optional<int> guest_command_failure = std::nullopt;
  std::string_view alias = {};  ///< "ls"; a second name, or empty.
  OperandUse operand_use = OperandUse::other;

  [[nodiscard]] bool is_called(std::string_view word) const {
    return word == name || (!alias.empty() && word == alias);
  }

  /// "env pull", "run"
  [[nodiscard]] std::string words() const {
    return group.empty() ? std::string(name) : std::string(group) + ' ' + std::string(name);
  }

  /// "env pull NAME...", "prepare"
  [[nodiscard]] std::string usage() const {
    return words() + (operands.empty() ? "" : ' ' + std::string(operands));
  }
};

template <typename T>
[[nodiscard]] std::unique_ptr<Command> make_command() {
  return std::make_unique<T>();
}

/// Runs pyro with `words`, the command line without the program's name; returns the exit code.
[[nodiscard]] int run(const Words& words, const Variables& variables, const Terminal& out,
                      const Terminal& err) noexcept;

}  // namespace pyro::cli
