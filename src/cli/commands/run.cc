// pyro run and pyro shell: a command in a machine of its own.
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "front/settings.h"
#include "front/text.h"
#include "pyro/machine.h"

namespace pyro::cli {
namespace {

double seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

void tell(const Context& context, const Error& error) {
  context.err.try_write(render_error(error, context.err));
}

std::string_view description_of(MachineStart start) {
  switch (start) {
    case MachineStart::boot:
      return "booted";
    case MachineStart::kernel_state:
      return "started from the state of its kernel";
    case MachineStart::prepared_state:
      return "started from the prepared state";
    case MachineStart::saved_machine:
      return "resumed";
  }
  return "started";
}

std::string summary(const RunReport& report) {
  return std::string(description_of(report.start)) + " with " +
         std::string(to_string(report.accelerator)) + ", ready after " +
         format_duration(report.ready_after) + ", command took " +
         format_duration(report.command_time);
}

// The failure of a command takes precedence over that of a copy.
int exit_code_of(const RunReport& report) {
  if (!report.copy_failure || report.exit_code != 0) return report.exit_code;
  const bool interrupted = report.copy_failure->code() == ErrorCode::interrupted;
  return interrupted ? exit_code(ErrorCode::interrupted) : kPyroFailed;
}

Json report_payload(const std::string& name, const RunReport& report) {
  Json document = {{"name", name}, {"exit_code", exit_code_of(report)}};
  document["signal"] = report.signal != 0 ? Json(report.signal) : Json(nullptr);
  document["timed_out"] = report.timed_out;
  if (!report.refusal.empty()) document["refusal"] = report.refusal;
  if (report.copy_failure) document["error"] = error_payload(*report.copy_failure);
  return document;
}

void add_circumstances(Json& document, const RunReport& report) {
  document["started"] = to_string(report.start);
  document["accelerator"] = to_string(report.accelerator);
  document["seconds"] = {{"ready", seconds(report.ready_after)},
                         {"command", seconds(report.command_time)},
                         {"total", seconds(report.total_time)}};
}

void add_copy(std::vector<Copy>& copies, const char* option, const std::string& text,
              std::size_t colon) {
  if (colon == text.npos || colon == 0 || colon + 1 == text.size()) {
    refuse_value(option, text, "of the form SRC:DST");
  }
  copies.push_back({text.substr(0, colon), text.substr(colon + 1)});
}

class RunCommand : public Command {
 public:
  void declare(Arguments& arguments) override;
  int run(Context& context, const Words& operands) override;

 protected:
  virtual void declare_streams(Arguments& arguments);
  [[nodiscard]] virtual Words command_of(const Context& context) const;

  RunOptions options_;
  GuestStreams streams_;

 private:
  void take_terminal(const Context& context);
  RunReport run_for_people(const Context& context, EnvironmentStore& store,
                           const std::string& name);
  RunReport run_for_json(const Context& context, EnvironmentStore& store, const std::string& name);

  GuestVariables variables_;
  bool require_kvm_ = false;
  ProgressArguments progress_;
};

void RunCommand::declare(Arguments& arguments) {
  declare_machine(arguments, options_.machine);
  arguments.value(
      "-e,--env", "NAME[=VALUE]", [this](const std::string& text) { variables_.add(text); },
      "Set a variable for the command; without VALUE, to its\nvalue in pyro's environment; may be "
      "repeated");
  arguments.value(
      "--env-file", "FILE", [this](const std::string& text) { variables_.add_file(text); },
      "Set the variables in FILE, one NAME[=VALUE] per line;\nmay be repeated");
  arguments.text("-w,--workdir", "DIR", options_.directory,
                 "Run the command in DIR (default: /root, or the image's)");
  arguments.text(
      "-u,--user", "USER", options_.user,
      "Run the command as USER[:GROUP], names or numbers\n(default: root, or the image's)");
  arguments.flag("--entrypoint", options_.entrypoint,
                 "Put the entrypoint of the container image in front of\nthe command");
  // A path of the host may have colons in it; one of the guest may not.
  arguments.value(
      "--copy-in", "SRC:DST",
      [this](const std::string& text) {
        add_copy(options_.copy_in, "--copy-in", text, text.rfind(':'));
      },
      "Copy a file or tree into the guest before the\ncommand; may be repeated");
  arguments.value(
      "--copy-out", "SRC:DST",
      [this](const std::string& text) {
        add_copy(options_.copy_out, "--copy-out", text, text.find(':'));
      },
      "Copy a file or tree out of the guest after the\ncommand; may be repeated");
  arguments.value(
      "-p,--publish", "[ADDRESS:]PORT:GUESTPORT",
      [this](const std::string& text) { options_.ports.push_back(parse_port_options(text)); },
      "Pass TCP connections to PORT of this host on to the\nguest's GUESTPORT; PORT 0: any that is "
      "free;\nADDRESS: 127.0.0.1 by default; may be repeated");
  declare_timeouts(arguments, options_);
  arguments.flag("--cold", options_.cold, "Boot, even if a prepared state can be used");
  arguments.flag("--require-kvm", require_kvm_,
                 "Fail if KVM does not work. Software emulation is no\nsecurity boundary");
  declare_streams(arguments);
  progress_.declare(arguments);
}

void RunCommand::declare_streams(Arguments& arguments) {
  streams_.declare(arguments, options_.terminal);
  declare_json(arguments);
}

Words RunCommand::command_of(const Context& context) const {
  return context.guest_command.value_or(Words());
}

int RunCommand::run(Context& context, const Words& operands) {
  options_.command = command_of(context);
  const EnvironmentKind kind = context.store.catalog.require(operands.front()).kind;
  if (options_.command.empty() && kind != EnvironmentKind::container) {
    throw Error(ErrorCode::usage, "there is no command to run",
                "put it after the name: pyro run debian:12 git --version");
  }
  if (options_.timeout == std::chrono::milliseconds(0)) options_.timeout.reset();
  if (require_kvm_) options_.machine.kvm = KvmUse::required;
  apply_variables(context.variables, options_.machine);
  const auto view = progress_.make_view(context);
  const ClearAtEnd clear(view.get());
  options_.progress = view.get();
  options_.variables = variables_.with_values_of(context.variables);
  options_.stop = context.stop;
  options_.stop_signal = stop_signal;
  const SignalRelay relay;
  options_.signals = relay.descriptor();
  options_.before_command = [] { return hold_for_command(false); };
  options_.input = streams_.input();
  EnvironmentStore store(context.store);
  return exit_code_of(json() ? run_for_json(context, store, operands.front())
                             : run_for_people(context, store, operands.front()));
}

void RunCommand::take_terminal(const Context& context) {
  if (options_.input >= 0) options_.before_command = [] { return hold_for_command(true); };
  GuestStreams::take_terminal(context, options_);
}

RunReport RunCommand::run_for_people(const Context& context, EnvironmentStore& store,
                                     const std::string& name) {
  options_.output = STDOUT_FILENO;
  options_.error_output = STDERR_FILENO;
  if (options_.terminal) take_terminal(context);
  RunReport report = run_in_machine(store, name, options_);
  if (!report.refusal.empty()) tell(context, Error(ErrorCode::failed, report.refusal));
  if (report.timed_out) {
    tell(context, Error(ErrorCode::failed,
                        "the command was ended after " + format_duration(*options_.timeout)));
  }
  if (report.copy_failure) tell(context, *report.copy_failure);
  if (context.verbosity > 0) context.err.try_write(render_note(summary(report)));
  return report;
}

RunReport RunCommand::run_for_json(const Context& context, EnvironmentStore& store,
                                   const std::string& name) {
  const Capture output;
  const Capture error_output;
  options_.output = output.descriptor();
  options_.error_output = error_output.descriptor();
  options_.output_limit = Capture::kLimit;
  RunReport report = run_in_machine(store, name, options_);
  Json document = report_payload(name, report);
  output.add_to(document, "stdout");
  error_output.add_to(document, "stderr");
  add_circumstances(document, report);
  context.out.write(render_json(document));
  return report;
}

class ShellCommand : public RunCommand {
 public:
  ShellCommand() {
    streams_.interactive = true;
    options_.terminal = true;
  }

 protected:
  void declare_streams(Arguments&) override {}

  [[nodiscard]] Words command_of(const Context& context) const override {
    if (context.guest_command) {
      throw Error(ErrorCode::usage, "a shell takes no command", "see 'pyro run'");
    }
    return shell_of_guest();
  }
};

}  // namespace

constinit const CommandEntry kRunCommand{
    .group = "",
    .name = "run",
    .operands = "NAME [[--] COMMAND [ARG...]]",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Run a command in a machine of its own, and discard the machine",
    .details =
        "Installs the environment if needed, boots it, runs the command, and passes on its input, "
        "output and\n"
        "exit code. The guest writes to memory: the environment does not change. A container image "
        "runs its\n"
        "own command if none is given, with its own variables, working directory and user.\n"
        "\n"
        "The command begins after '--', or at the first word after NAME that is no option. From "
        "there on,\n"
        "every word is passed to the guest unchanged, so options of pyro come before it. The exit "
        "code is\n"
        "that of the command: 128+n if signal n ended it, 124 after a timeout, 126 if it cannot be "
        "executed,\n"
        "127 if it was not found; 125 if pyro itself failed.\n"
        "\n"
        "SRC and DST of a copy are files or directories, as with cp -r: an existing directory is "
        "copied into,\n"
        "DIR/. is the content of DIR, and existing files keep their mode. On the host they may be "
        "pipes and\n"
        "devices, too. Modes and times are copied, owners and set-user-ID bits are not. A file "
        "that cannot be\n"
        "read is named and left out; the exit code is then 125, unless the command itself fails.\n"
        "\n"
        "Files are copied out however the command ended; nothing else is written on the host. With "
        "--timeout,\n"
        "the copies before the command have that time, too, and those after it again, but at "
        "least a minute.\n"
        "\n"
        "SIGINT (Ctrl-C), SIGTERM and SIGHUP are forwarded to the command. After a timeout it gets "
        "SIGTERM,\n"
        "and SIGKILL after --stop-timeout. A second SIGINT or SIGTERM ends pyro at once. SIGQUIT, "
        "SIGUSR1,\n"
        "SIGUSR2 and SIGALRM are forwarded, too.\n"
        "\n"
        "Standard input is read ahead, even if the command does not read it: in a loop that reads "
        "it itself\n"
        "('while read'), use --no-stdin.\n",
    .examples =
        "  pyro run debian:12 git --version\n"
        "  pyro run debian:12 -it -- bash\n"
        "  echo 'to be counted' | pyro run debian:12 -- wc -c\n"
        "  pyro run debian:12-build --copy-in src:/work --copy-out /work/a.out:. -w /work \\\n"
        "      --timeout 1m -- gcc main.c\n"
        "  pyro run debian:12 --json -- uname -a | jq -r .stdout\n",
    .make = make_command<RunCommand>,
    .guest_command_failure = kPyroFailed,
    .operand_use = OperandUse::images,
};

constinit const CommandEntry kShellCommand{
    .group = "",
    .name = "shell",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Open a shell in a machine of its own, and discard the machine",
    .details = "As 'pyro run -it NAME' with the guest's bash or sh.\n",
    .examples =
        "  pyro shell debian:12\n"
        "  pyro shell debian:12 --network user --memory 2G\n",
    .make = make_command<ShellCommand>,
    .guest_command_failure = kPyroFailed,
    .operand_use = OperandUse::images,
};

}  // namespace pyro::cli
