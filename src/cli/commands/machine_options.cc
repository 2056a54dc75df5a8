// Common parts of the commands that boot machines.
#include "cli/commands/machine_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "base/text.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "front/settings.h"
#include "front/text.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

std::optional<unsigned> parse_number(const std::string& text, unsigned min, unsigned max) {
  const auto number = number_in<unsigned>(text);
  return number && *number >= min && *number <= max ? number : std::nullopt;
}

/// A bare number counts MiB.
unsigned parse_mebibytes(const char* option, const std::string& text, unsigned min, unsigned max) {
  constexpr unsigned kMebi = 20;
  const auto mebibytes = parse_size(text, 1U << kMebi).value_or(0) >> kMebi;
  if (mebibytes < min || mebibytes > max) {
    refuse_value(option, text, fmt::format("a size from {}M to {}M", min, max));
  }
  return static_cast<unsigned>(mebibytes);
}

constexpr std::string_view kBlanks = " \t\v\f";

/// Returns why `text` is not NAME or NAME=VALUE, or null.
const char* fault_of(std::string_view text) {
  const std::string_view name = text.substr(0, text.find('='));
  if (name.empty()) return "not of the form NAME=VALUE or NAME";
  if (name.find_first_of(kBlanks) != name.npos) return "a name has no blanks";
  if (text.find('\0') != text.npos) return "a variable has no NUL";
  return nullptr;
}

/// Removes what editors and other systems leave around a line. Blanks behind a value are part of
/// it.
std::string_view trimmed(std::string_view line, bool is_first) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (is_first && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  if (line.find('=') == line.npos) line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
  return line;
}

/// The bytes of the longest UTF-8 character without its last one.
constexpr std::size_t kMaxPartOfCharacter = 3;

}  // namespace

void declare_machine(Arguments& arguments, MachineOptions& options) {
  declare_shape(arguments, options,
                {.memory = "Memory of the machine (default 512M, for container images\n2G); a bare "
                           "number counts MiB. Files of the guest take\nup to half of it, unless "
                           "there is a --disk",
                 .disk = "Put the files that the guest writes on a scratch disk of\nSIZE, which is "
                         "gone with the machine; a bare number counts\nMiB. It takes the room that "
                         "is written"});
  arguments.text("--base", "NAME", options.base,
                 "The environment whose kernel a container image boots");
}

void declare_shape(Arguments& arguments, MachineOptions& options, const ShapeHelp& help) {
  arguments.value(
      "--cpus", "N",
      [&](const std::string& text) {
        const auto number = parse_number(text, 1, kMaxCpus);
        if (!number) refuse_value("--cpus", text, fmt::format("a number from 1 to {}", kMaxCpus));
        options.cpus = *number;
      },
      "Processors of the machine (default 1)");
  arguments.value(
      "--memory", "SIZE",
      [&](const std::string& text) {
        options.memory_mib = parse_mebibytes("--memory", text, kMinMemoryMib, kMaxMemoryMib);
      },
      help.memory);
  arguments.value(
      "--disk", "SIZE",
      [&](const std::string& text) {
        options.disk_mib = parse_mebibytes("--disk", text, kMinDiskMib, kMaxDiskMib);
      },
      help.disk);
  arguments.choice(
      "--network", "[KIND]", {"none", "user", "user+host"},
      [&](const std::string& text) {
        options.network = parse_network(text).value_or(GuestNetwork::none);
      },
      "none (default), user or user+host; --network alone means\nuser: outgoing connections "
      "through "
      "passt, also to private\nnetworks and a cloud's metadata address. user+host: through\nQEMU, "
      "and 10.0.2.2 is this host's loopback interface",
      "user");
}

void GuestVariables::add(const std::string& text) {
  if (fault_of(text) != nullptr) {
    refuse_value("--env", text, "of the form NAME=VALUE or NAME, where a name has no blanks");
  }
  given_.push_back(text);
}

void GuestVariables::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw system_error("cannot read " + path, errno);
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    const std::string line(trimmed(text, ++number == 1));
    if (line.empty() || line.front() == '#') continue;
    if (const char* const fault = fault_of(line)) {
      throw Error(ErrorCode::usage, path + ", line " + std::to_string(number) + ": " + fault);
    }
    from_files_.push_back(line);
  }
  if (file.bad()) throw system_error("cannot read " + path, errno);
}

std::vector<std::string> GuestVariables::with_values_of(const Variables& ours) const {
  std::vector<std::string> result;
  for (const auto* const texts : {&from_files_, &given_}) {
    for (const std::string& text : *texts) {
      if (text.find('=') != text.npos)
        result.push_back(text);
      else if (const auto value = ours(text.c_str()))
        result.push_back(text + '=' + *value);
    }
  }
  return result;
}

void GuestStreams::declare(Arguments& arguments, bool& terminal) {
  arguments.flag("-i,--interactive", interactive, "Pass standard input on even from a terminal");
  arguments.flag("--no-stdin", no_input, "Do not read standard input: the command's is empty");
  arguments.flag("-t,--tty", terminal, "Give the command a terminal");
}

int GuestStreams::input() const {
  if (no_input && interactive) {
    throw Error(ErrorCode::usage, "'--no-stdin' and '--interactive' exclude each other");
  }
  return !no_input && (interactive || !is_terminal(STDIN_FILENO)) ? STDIN_FILENO : -1;
}

void GuestStreams::take_terminal(const Context& context, CommandOptions& command) {
  command.window = STDOUT_FILENO;
  if (const auto term = context.variables("TERM")) {
    command.variables.insert(command.variables.begin(), "TERM=" + *term);
  }
}

void declare_timeouts(Arguments& arguments, CommandOptions& command) {
  arguments.time("--timeout", command.timeout,
                 "End the command after TIME, with exit code 124;\n0: no limit");
  arguments.time("--stop-timeout", command.stop_timeout,
                 "Time between SIGTERM and SIGKILL for a command that is\nended (default 10s)");
}

std::shared_ptr<void> hold_for_command(bool with_terminal) {
  struct CommandHold {
    SignalRelay::Hold signals;
    std::optional<RawTerminal> terminal;
  };
  auto held = std::make_shared<CommandHold>();
  if (with_terminal) held->terminal.emplace(STDIN_FILENO);
  return held;
}

Words shell_of_guest() {
  return {"/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l"};
}

Workspaces workspaces_of(const Context& context) {
  MachineOptions machine;
  apply_variables(context.variables, machine);
  Workspaces workspaces(find_workspaces_directory(context.variables), context.store, machine);
  for (const std::string& name : workspaces.remove_expired()) {
    context.err.try_write(render_note("the workspace " + name + " had expired: deleted"));
  }
  return workspaces;
}

void Capture::add_to(Json& document, const std::string& key) const {
  const auto size =
      static_cast<std::uint64_t>(std::max<off_t>(::lseek(descriptor(), 0, SEEK_END), 0));
  std::string bytes(std::min(size, kMaxBytes), '\0');
  bytes.resize(pread_full(descriptor(), std::as_writable_bytes(std::span(bytes)), 0, key));
  const std::size_t text = utf8_prefix(bytes);
  if (size > kMaxBytes) {
    document[key + "_truncated"] = true;
    // The limit may have cut a character.
    if (bytes.size() - text <= kMaxPartOfCharacter) bytes.resize(text);
  }
  if (text == bytes.size())
    document[key] = std::move(bytes);
  else
    document[key + "_base64"] = base64_encode(bytes);
}

}  // namespace pyro::cli
