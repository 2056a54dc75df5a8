// Common parts of the commands that boot machines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "cli/command.h"
#include "cli/output.h"
#include "front/documents.h"
#include "pyro/machine.h"
#include "pyro/workspace.h"

namespace pyro::cli {

/// Declares --cpus, --memory, --disk, --base and --network.
void declare_machine(Arguments& arguments, MachineOptions& options);

/// Declares those that say how a machine looks from within: --cpus, --memory, --disk and --network.
struct ShapeHelp {
  std::string memory;  ///< The help of --memory.
  std::string disk;
};
void declare_shape(Arguments& arguments, MachineOptions& options, const ShapeHelp& help);

/// The environment variables of a guest command.
class GuestVariables {
 public:
  /// "NAME=VALUE", or "NAME" for the value on the host.
  /// @throws Error(usage)
  void add(const std::string& text);

  /// Adds the lines of a file, each as for add(). Ignores empty lines and those that begin with
  /// '#', blanks in front of a name, a byte order mark, and a carriage return at the end of a line.
  /// @throws Error(usage) naming file and line; Error(filesystem)
  void add_file(const std::string& path);

  /// Returns "NAME=VALUE" strings, of which the last of a name counts: those of files come first.
  /// A name without a value among `ours` is left out.
  [[nodiscard]] std::vector<std::string> with_values_of(const Variables& ours) const;

 private:
  std::vector<std::string> from_files_;
  std::vector<std::string> given_;
};

/// The exit code of commands that run something in a guest when pyro itself fails; other codes are
/// the command's.
inline constexpr int kPyroFailed = 125;

/// The standard input and the terminal of a guest command.
struct GuestStreams {
  bool interactive = false;
  bool no_input = false;

  /// -i, --no-stdin and -t.
  void declare(Arguments& arguments, bool& terminal);

  /// The descriptor of the input, or -1. Keys pressed at a terminal stay with the shell that
  /// started pyro, unless -i is given.
  /// @throws Error(usage) for options that exclude each other
  [[nodiscard]] int input() const;

  /// Gives `command` the terminal of pyro's standard output, and its name in TERM.
  static void take_terminal(const Context& context, CommandOptions& command);
};

/// Declares --timeout and --stop-timeout.
void declare_timeouts(Arguments& arguments, CommandOptions& command);

/// Holds the signals that are the command's while it runs, and its keys if `with_terminal`.
[[nodiscard]] std::shared_ptr<void> hold_for_command(bool with_terminal);

/// The best shell that is there, as a login shell.
[[nodiscard]] Words shell_of_guest();

/// The user's workspaces, with the settings of the context.
[[nodiscard]] Workspaces workspaces_of(const Context& context);

/// "debian-12", "debian-12-2", of the last part of a name of an environment or of a workspace.
[[nodiscard]] std::string free_workspace_name(const Workspaces& workspaces,
                                              const std::string& like);

/// WORKSPACE[@SNAPSHOT]; without one it is empty.
/// @throws Error(usage)
[[nodiscard]] std::pair<std::string, std::string> split_snapshot(const std::string& text);

/// The table of `pyro workspace ps`.
[[nodiscard]] Table process_table(const std::vector<WorkspaceProcess>& processes);

/// The output of a guest command, kept in memory for a JSON document.
class Capture {
 public:
  /// The bytes that are kept.
  static constexpr std::uint64_t kMaxBytes = 64 << 20;
  /// The bytes to write to it: one more than is kept shows that there were more.
  static constexpr std::uint64_t kLimit = kMaxBytes + 1;

  /// A file to write to.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

  /// Adds the output under `key` as text, or under `key`_base64 where it is not UTF-8.
  void add_to(Json& document, const std::string& key) const;

 private:
  Fd file_ = make_memory_file("the output of the command");
};

}  // namespace pyro::cli
