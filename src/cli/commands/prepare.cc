// pyro prepare: saves the state of a booted machine, from which runs start fast.
#include <string>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "front/settings.h"
#include "front/text.h"
#include "pyro/machine.h"

namespace pyro::cli {
namespace {

constexpr const char* kDefaultEnvironment = "debian:12";

Json payload_of(const PrepareReport& report) {
  Json steps = Json::array();
  for (const PrepareStep& step : report.steps) {
    steps.push_back(
        {{"name", step.name}, {"seconds", std::chrono::duration<double>(step.time).count()}});
  }
  return {{"name", report.name},
          {"version", report.version},
          {"prepared_before", report.prepared_before},
          {"accelerator", to_string(report.accelerator)},
          {"manifest", report.manifest.string()},
          {"state_bytes", report.state_bytes},
          {"steps", std::move(steps)}};
}

class PrepareCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--force", options_.force, "Replace an existing prepared state");
    declare_machine(arguments, options_.machine);
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const std::string name = operands.empty() ? kDefaultEnvironment : operands.front();
    apply_variables(context.variables, options_.machine);
    const auto view = progress_.make_view(context);
    const ClearAtEnd clear(view.get());
    options_.progress = view.get();
    options_.stop = context.stop;
    EnvironmentStore store(context.store);
    const PrepareReport report = prepare_machine(store, name, options_);
    context.out.write(json() ? render_json(payload_of(report)) : text_of(report, context.out));
    return kDone;
  }

 private:
  static std::string text_of(const PrepareReport& report, const Terminal& terminal) {
    const std::string name = terminal.paint(Colour::bold, printable(report.name));
    if (report.prepared_before) return name + ": prepared already\n";
    std::string text = name + ": prepared, " + format_size(report.state_bytes) + " on disk\n";
    for (const PrepareStep& step : report.steps) {
      text += "  " + step.name +
              std::string(10 - std::min<std::size_t>(step.name.size(), 10), ' ') +
              format_duration(step.time) + '\n';
    }
    return text;
  }

  PrepareOptions options_;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kPrepareCommand{
    .group = "",
    .name = "prepare",
    .operands = "[NAME]",
    .min_operands = 0,
    .max_operands = 1,
    .purpose = "Make the next runs of an environment fast",
    .details =
        "Installs the environment (debian:12 by default), boots a machine, saves its state, and "
        "checks that\n"
        "commands run from it. 'pyro run' then resumes from this state, until the environment, "
        "QEMU or pyro\n"
        "changes; 'pyro doctor --environment NAME' shows whether it can.\n",
    .examples =
        "  pyro prepare\n"
        "  pyro prepare debian:12-build --memory 2G\n"
        "  pyro prepare debian:12 --network user\n",
    .make = make_command<PrepareCommand>,
    .operand_use = OperandUse::images,
};

}  // namespace pyro::cli
