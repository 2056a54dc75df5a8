// pyro workspace exec, shell, ps, logs, attach, signal: the processes of a workspace.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/subprocess.h"
#include "base/text.h"
#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

/// How often the output of a process is looked at.
constexpr std::chrono::milliseconds kLookInterval{100};

/// The process of that number in an operand.
/// @throws Error(usage)
unsigned parse_process(const std::string& text) {
  if (const auto number = number_in<unsigned>(text)) return *number;
  throw Error(ErrorCode::usage, "'" + text + "' is not the number of a process");
}

class ExecCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.value(
        "-e,--env", "NAME[=VALUE]", [this](const std::string& text) { variables_.add(text); },
        "Set a variable for the command; without VALUE, to its\nvalue in pyro's environment; may "
        "be repeated");
    arguments.text("-w,--workdir", "DIR", command_.directory,
                   "Run the command in DIR (default /workspace)");
    arguments.text(
        "-u,--user", "USER", command_.user,
        "Run the command as USER[:GROUP], names or numbers\n(default: root, or the image's)");
    declare_timeouts(arguments, command_);
    declare_streams(arguments);
    progress_.declare(arguments);
  }

  int run(Context& context, const Words& operands) override {
    command_.command = command_of(context);
    command_.variables = variables_.with_values_of(context.variables);
    if (command_.timeout == std::chrono::milliseconds(0)) command_.timeout.reset();
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    const WorkspaceCall call{.progress = view.get(), .stop = context.stop};
    Workspaces workspaces = workspaces_of(context);
    if (detach_) {
      command_.input = streams_.interactive ? STDIN_FILENO : -1;
      context.out.write(std::to_string(workspaces.spawn(operands.front(), command_, call)) + '\n');
      return kDone;
    }
    const SignalRelay relay;
    command_.signals = relay.descriptor();
    command_.stop_signal = stop_signal;
    connect_streams(context);
    const CommandReport report = workspaces.run(operands.front(), command_, call);
    if (!report.refusal.empty()) tell(context, report.refusal);
    if (report.timed_out) {
      tell(context, "the command was ended after " + format_duration(*command_.timeout));
    }
    return report.exit_code;
  }

 protected:
  virtual void declare_streams(Arguments& arguments) {
    streams_.declare(arguments, command_.terminal);
    arguments.flag("-d,--detach", detach_,
                   "Do not wait: print the number of the process, whose\noutput 'pyro workspace "
                   "logs' shows; with -i its input stays\nopen for 'pyro workspace attach'");
  }

  [[nodiscard]] virtual Words command_of(const Context& context) const {
    Words command = context.guest_command.value_or(Words());
    if (command.empty()) throw Error(ErrorCode::usage, "there is no command to run");
    return command;
  }

  CommandOptions command_;
  GuestStreams streams_;

 private:
  void connect_streams(const Context& context) {
    command_.input = streams_.input();
    command_.output = STDOUT_FILENO;
    command_.error_output = STDERR_FILENO;
    const bool is_raw = command_.terminal && command_.input >= 0;
    command_.before_command = [is_raw] { return hold_for_command(is_raw); };
    if (command_.terminal) GuestStreams::take_terminal(context, command_);
  }

  static void tell(const Context& context, const std::string& text) {
    context.err.try_write(render_error(Error(ErrorCode::failed, text), context.err));
  }

  GuestVariables variables_;
  bool detach_ = false;
  ProgressArguments progress_;
};

class WorkspaceShellCommand : public ExecCommand {
 public:
  WorkspaceShellCommand() {
    streams_.interactive = true;
    command_.terminal = true;
  }

 protected:
  void declare_streams(Arguments&) override {}

  [[nodiscard]] Words command_of(const Context& context) const override {
    if (context.guest_command) {
      throw Error(ErrorCode::usage, "a shell takes no command", "see 'pyro workspace exec'");
    }
    return shell_of_guest();
  }
};

class AttachCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("-t,--tty", command_.terminal,
                   "The process has a terminal: pass keys on as they are\ntyped; Ctrl-P Ctrl-Q "
                   "leaves it");
    arguments.flag("--no-stdin", no_input_, "Pass no input on");
    progress_.declare(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    const SignalRelay relay;
    command_.signals = relay.descriptor();
    command_.stop_signal = stop_signal;
    command_.input = no_input_ ? -1 : STDIN_FILENO;
    command_.before_command = [is_raw = command_.terminal && !no_input_] {
      return hold_for_command(is_raw);
    };
    if (command_.terminal) GuestStreams::take_terminal(context, command_);
    const auto report =
        workspaces_of(context).attach(operands[0], parse_process(operands[1]), command_,
                                      {.progress = view.get(), .stop = context.stop});
    return report ? report->exit_code : kDone;
  }

 private:
  CommandOptions command_;
  bool no_input_ = false;
  ProgressArguments progress_;
};

class WorkspacePsCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const auto processes = workspaces_of(context).processes(operands.front());
    if (json()) {
      Json list = Json::array();
      for (const WorkspaceProcess& process : processes) list.push_back(process_payload(process));
      context.out.write(render_json({{"processes", std::move(list)}}));
    } else if (processes.empty()) {
      context.err.try_write("nothing has run in it\n");
    } else {
      context.out.write(process_table(processes).render(context.out));
    }
    return kDone;
  }
};

class LogsCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("-f,--follow", follow_, "Go on until the process ends");
  }

  int run(Context& context, const Words& operands) override {
    const Workspaces workspaces = workspaces_of(context);
    Stream streams[] = {{context.out, false}, {context.err, true}};
    const unsigned process = parse_process(operands[1]);
    while (!context.stop.stop_requested()) {
      bool is_over = true;
      for (Stream& stream : streams) {
        is_over = pass_on(workspaces, operands[0], process, stream) && is_over;
      }
      if (is_over || (!follow_ && !has_more_)) break;
      if (!has_more_) std::this_thread::sleep_for(kLookInterval);
      has_more_ = false;
    }
    return context.stop.stop_requested() ? exit_code(ErrorCode::interrupted) : kDone;
  }

 private:
  struct Stream {
    const Terminal& to;
    bool is_error;
    std::uint64_t offset = 0;
  };

  /// Whether there will be no more.
  bool pass_on(const Workspaces& workspaces, const std::string& name, unsigned process,
               Stream& stream) {
    const ProcessOutput output = workspaces.output(name, process, stream.is_error, stream.offset);
    if (output.skipped > 0) {
      stream.to.write("\n[" + format_size(output.skipped) + " are not kept]\n");
    }
    stream.to.write(output.text);
    stream.offset = output.next;
    has_more_ = has_more_ || !output.text.empty();
    return output.has_ended;
  }

  bool follow_ = false;
  bool has_more_ = false;
};

class SignalCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).signal(operands[0], parse_process(operands[1]), number_of(operands[2]));
    return kDone;
  }

 private:
  static int number_of(const std::string& name) {
    const int number = signal_number(name);
    if (number != 0) return number;
    throw Error(ErrorCode::usage, "'" + name + "' is not a signal", "as TERM, KILL or 9");
  }
};

}  // namespace

Table process_table(const std::vector<WorkspaceProcess>& processes) {
  Table table({{"PROCESS", Table::Align::right}, {"STATE"}, {"STARTED"}, {"COMMAND"}});
  for (const WorkspaceProcess& process : processes) {
    const std::string state =
        process.end ? "exit " + std::to_string(process.end->exit_code) : "running";
    std::string command;
    for (const std::string& word : process.command) {
      command += (command.empty() ? "" : " ") + word;
    }
    table.add({{std::to_string(process.number)},
               {state, process.end ? Colour::dim : Colour::green},
               {format_age(process.started)},
               {command}});
  }
  return table;
}

constinit const CommandEntry kWorkspaceExecCommand{
    .group = "workspace",
    .name = "exec",
    .operands = "WORKSPACE [--] COMMAND [ARG...]",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Run a command in a workspace",
    .details =
        "Starts the machine if needed. Input, output, signals and exit codes are as with 'pyro "
        "run'. The\n"
        "command ends with its own process, whatever that leaves. If pyro is killed, the command "
        "goes on.\n",
    .examples =
        "  pyro workspace exec fix -- make test\n"
        "  pyro workspace exec fix --detach -- python3 -m http.server\n",
    .make = make_command<ExecCommand>,
    .guest_command_failure = kPyroFailed,
};

constinit const CommandEntry kWorkspaceShellCommand{
    .group = "workspace",
    .name = "shell",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Open a shell in a workspace",
    .details = "As 'pyro workspace exec -it WORKSPACE' with the guest's bash or sh.\n",
    .examples = "  pyro workspace shell fix\n",
    .make = make_command<WorkspaceShellCommand>,
    .guest_command_failure = kPyroFailed,
};

constinit const CommandEntry kWorkspacePsCommand{
    .group = "workspace",
    .name = "ps",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Show the processes of a workspace, also those that have ended",
    .details = "Exit code 255: the machine ended before the process.\n",
    .examples = "  pyro workspace ps fix\n",
    .make = make_command<WorkspacePsCommand>,
};

constinit const CommandEntry kWorkspaceLogsCommand{
    .group = "workspace",
    .name = "logs",
    .operands = "WORKSPACE PROCESS",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Show what a process has written",
    .details = "Of each stream the first and the last 4 MiB are kept.\n",
    .examples =
        "  pyro workspace logs fix 3\n"
        "  pyro workspace logs fix 3 --follow\n",
    .make = make_command<LogsCommand>,
};

constinit const CommandEntry kWorkspaceAttachCommand{
    .group = "workspace",
    .name = "attach",
    .operands = "WORKSPACE PROCESS",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Follow a running process, with input and signals",
    .details =
        "Shows what it writes from now on; 'logs' shows what it wrote before. Input goes to a "
        "process that was\n"
        "started with 'exec --detach -i'. Ends with the process, and with its exit code. If pyro "
        "is "
        "killed, the process\n"
        "goes on.\n",
    .examples =
        "  pyro workspace exec fix --detach -it -- bash\n"
        "  pyro workspace attach fix 3 -t\n",
    .make = make_command<AttachCommand>,
};

constinit const CommandEntry kWorkspaceSignalCommand{
    .group = "workspace",
    .name = "signal",
    .operands = "WORKSPACE PROCESS SIGNAL",
    .min_operands = 3,
    .max_operands = 3,
    .purpose = "Send a signal to a process and its children",
    .details = "",
    .examples = "  pyro workspace signal fix 3 TERM\n",
    .make = make_command<SignalCommand>,
};

}  // namespace pyro::cli
