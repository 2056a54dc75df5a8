// pyro run and pyro shell: a command in a machine of its own.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/base64.h"
#include "base/files.h"
#include "cli/commands/commands.h"
#include "cli/commands/machine_arguments.h"
#include "cli/error_output.h"
#include "cli/json_output.h"
#include "cli/progress.h"
#include "cli/raw_terminal.h"
#include "cli/sizes.h"
#include "pyro/error.h"
#include "pyro/machine.h"

namespace pyro::cli {
namespace {

constexpr int kFailed = 125;

/// So much of what a command says is kept.
constexpr std::uint64_t kMost = 64 << 20;

/// What a command says, kept in memory for one JSON document.
class Capture {
 public:
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

  /// As text, or in base64 under another key where it is no UTF-8.
  void add_to(Json& document, const std::string& key) const {
    const auto size =
        static_cast<std::uint64_t>(std::max<off_t>(::lseek(descriptor(), 0, SEEK_END), 0));
    std::string bytes(std::min(size, kMost), '\0');
    bytes.resize(pread_full(descriptor(), std::as_writable_bytes(std::span(bytes)), 0, key));
    if (size > kMost) document[key + "_truncated"] = true;
    if (is_utf8(bytes))
      document[key] = std::move(bytes);
    else
      document[key + "_base64"] = base64_encode(bytes);
  }

 private:
  static bool is_utf8(const std::string& bytes) try {
    static_cast<void>(Json(bytes).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }

  Fd file_ = make_memory_file("the output of the command");
};

double seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

class RunCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    declare_machine_size(arguments, options_.machine);
    arguments.choice(
        "--network", "KIND", {"none", "user"},
        [this](const std::string& text) { set_network(text); },
        "none (default), or user: outgoing connections, with\nyour rights; what listens on this "
        "host's loopback\nonly is reached, too, at 10.0.2.2");
    arguments.value(
        "-e,--env", "NAME=VALUE", [this](const std::string& text) { add_variable(text); },
        "Set a variable for the command; may be repeated");
    arguments.value(
        "-w,--workdir", "DIR", [this](const std::string& text) { options_.directory = text; },
        "Run the command in DIR (default: /root)");
    arguments.value(
        "--copy-in", "SRC:DST", [this](const std::string& text) { add_copy_in(text); },
        "Copy a file or tree into the guest before the\ncommand; may be repeated");
    arguments.value(
        "--copy-out", "SRC:DST", [this](const std::string& text) { add_copy_out(text); },
        "Copy a file or tree out of the guest after the\ncommand; may be repeated");
    arguments.value(
        "--timeout", "SECONDS", [this](const std::string& text) { set_timeout(text); },
        "End the command after that long, with exit code 124");
    arguments.flag("--cold", options_.cold, "Boot, even if a prepared state would serve");
    declare_streams(arguments);
  }

  int run(Context& context, const std::vector<std::string>& operands) override {
    options_.command = command_of(context);
    find_monitor(context.variables, options_.machine);
    const auto view = make_progress(progress_kind(), context.err);
    const ClearAtEnd clear(view.get());
    view->set_verbosity(context.verbosity);
    options_.progress = view.get();
    options_.stop = context.stop;
    EnvironmentStore store(context.store);
    return json() ? run_for_json(context, store, operands.front())
                  : run_for_people(context, store, operands.front());
  }

 protected:
  virtual void declare_streams(Arguments& arguments) {
    arguments.flag("-i,--interactive", interactive_, "Pass standard input on even from a terminal");
    arguments.flag("-t,--tty", options_.terminal, "Give the command a terminal");
    declare_json(arguments);
  }

  [[nodiscard]] virtual std::vector<std::string> command_of(const Context& context) const {
    if (!context.guest_command || context.guest_command->empty()) {
      throw Error(ErrorCode::usage, "there is no command to run",
                  "put it after '--': pyro run debian:12 -- git --version");
    }
    return *context.guest_command;
  }

  RunOptions options_;
  bool interactive_ = false;

 private:
  [[nodiscard]] ProgressKind progress_kind() const {
    return json() ? ProgressKind::none : ProgressKind::automatic;
  }

  int run_for_people(const Context& context, EnvironmentStore& store, const std::string& name) {
    // Keys pressed at a terminal are for the shell that pyro was started from, unless asked for.
    if (interactive_ || !is_terminal(STDIN_FILENO)) options_.input = STDIN_FILENO;
    options_.output = STDOUT_FILENO;
    options_.error_output = STDERR_FILENO;
    const bool raw = options_.terminal && options_.input >= 0;
    if (options_.terminal) {
      options_.window = STDOUT_FILENO;
      if (const auto term = context.variables("TERM")) {
        options_.variables.insert(options_.variables.begin(), "TERM=" + *term);
      }
    }
    RunReport report;
    {
      const RawTerminal keys(raw ? STDIN_FILENO : -1);
      report = run_in_machine(store, name, options_);
    }
    if (!report.refusal.empty()) tell(context, report.refusal);
    if (report.timed_out) {
      tell(context, "the command was ended after " + format_duration(*options_.timeout));
    }
    if (context.verbosity > 0) context.err.try_write(render_note(summary(report)));
    return report.exit_code;
  }

  int run_for_json(const Context& context, EnvironmentStore& store, const std::string& name) {
    const Capture output;
    const Capture error_output;
    if (interactive_ || !is_terminal(STDIN_FILENO)) options_.input = STDIN_FILENO;
    options_.output = output.descriptor();
    options_.error_output = error_output.descriptor();
    options_.output_limit = kMost + 1;  // by which it shows that there was more
    const RunReport report = run_in_machine(store, name, options_);
    Json document = {{"name", name}, {"exit_code", report.exit_code}};
    document["signal"] = report.signal != 0 ? Json(report.signal) : Json(nullptr);
    document["timed_out"] = report.timed_out;
    if (!report.refusal.empty()) document["refusal"] = report.refusal;
    output.add_to(document, "stdout");
    error_output.add_to(document, "stderr");
    document["started"] = report.warm ? "warm" : "cold";
    document["accelerator"] = to_string(report.accelerator);
    document["seconds"] = {{"ready", seconds(report.ready_after)},
                           {"command", seconds(report.command_time)},
                           {"total", seconds(report.total_time)}};
    context.out.write(render_json(document));
    return report.exit_code;
  }

  static void tell(const Context& context, const std::string& text) {
    context.err.try_write(render_error(Error(ErrorCode::failed, text), context.err));
  }

  static std::string summary(const RunReport& report) {
    return std::string(report.warm ? "started from the prepared state" : "booted") + " with " +
           std::string(to_string(report.accelerator)) + ", ready after " +
           format_duration(report.ready_after) + ", command took " +
           format_duration(report.command_time);
  }

  void set_network(const std::string& text) {
    options_.machine.network = text == "user" ? GuestNetwork::user : GuestNetwork::none;
  }

  void add_variable(const std::string& text) {
    if (text.find('=') == text.npos || text.front() == '=') {
      refuse_value("--env", text, "of the form NAME=VALUE");
    }
    options_.variables.push_back(text);
  }

  // A path of the host may have colons in it; one of the guest may not.
  void add_copy_in(const std::string& text) {
    add_copy(options_.copy_in, "--copy-in", text, text.rfind(':'));
  }

  void add_copy_out(const std::string& text) {
    add_copy(options_.copy_out, "--copy-out", text, text.find(':'));
  }

  static void add_copy(std::vector<Copy>& copies, const char* option, const std::string& text,
                       std::size_t colon) {
    if (colon == text.npos || colon == 0 || colon + 1 == text.size()) {
      refuse_value(option, text, "of the form SRC:DST");
    }
    copies.push_back({text.substr(0, colon), text.substr(colon + 1)});
  }

  void set_timeout(const std::string& text) {
    options_.timeout = parse_seconds(text);
    if (!options_.timeout) refuse_value("--timeout", text, "a number of seconds");
  }
};

class ShellCommand : public RunCommand {
 protected:
  void declare_streams(Arguments&) override {}

  // The best that is there, as a login shell.
  [[nodiscard]] std::vector<std::string> command_of(const Context& context) const override {
    if (context.guest_command) {
      throw Error(ErrorCode::usage, "a shell takes no command", "see 'pyro run'");
    }
    return {"/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l"};
  }

 public:
  ShellCommand() {
    interactive_ = true;
    options_.terminal = true;
  }
};

}  // namespace

constinit const CommandEntry kRunCommand{
    .group = "",
    .name = "run",
    .operands = "NAME -- COMMAND [ARG...]",
    .least_operands = 1,
    .most_operands = 1,
    .purpose = "Run a command in a machine of its own, which is thrown away",
    .details =
        "Installs the environment if it is not there, boots it, runs the command, and passes on\n"
        "its input, output and exit code. The guest writes to memory: the environment stays as it\n"
        "is. What follows '--' reaches the guest as it stands. The exit code is the command's "
        "own;\n"
        "128+n when signal n ended it, 124 timed out, 126 cannot be executed, 127 not found, and\n"
        "125 when pyro itself failed.\n"
        "\n"
        "SRC and DST of a copy are files or directories; as with cp -r, what exists as a "
        "directory\n"
        "is copied into. Nothing is written on the host but at the DST of --copy-out.\n",
    .examples =
        "  pyro run debian:12 -- git --version\n"
        "  pyro run debian:12 -it -- bash\n"
        "  echo 'to be counted' | pyro run debian:12 -- wc -c\n"
        "  pyro run debian:12-build --copy-in src:/work --copy-out /work/a.out:. -w /work \\\n"
        "      --timeout 60 -- gcc main.c\n"
        "  pyro run debian:12 --json -- uname -a | jq -r .stdout\n",
    .make = make_command<RunCommand>,
    .guest_command_failure = kFailed,
};

constinit const CommandEntry kShellCommand{
    .group = "",
    .name = "shell",
    .operands = "NAME",
    .least_operands = 1,
    .most_operands = 1,
    .purpose = "Open a shell in a machine of its own, which is thrown away",
    .details = "As 'pyro run -it NAME' with the guest's bash or sh.\n",
    .examples =
        "  pyro shell debian:12\n"
        "  pyro shell debian:12 --network user --memory 2048\n",
    .make = make_command<ShellCommand>,
    .guest_command_failure = kFailed,
};

}  // namespace pyro::cli
