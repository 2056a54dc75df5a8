// pyro ps: the machines that run.
#include <string>

#include "cli/commands/commands.h"
#include "front/text.h"
#include "pyro/machine.h"

namespace pyro::cli {
namespace {

std::string age_of(const RunningMachine& machine) {
  return format_age(std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now() - machine.since));
}

Table table_of(const std::vector<RunningMachine>& machines) {
  Table table({{"PID", Table::Align::right},
               {"ENVIRONMENT"},
               {"SINCE"},
               {"STARTED"},
               {"MEMORY", Table::Align::right},
               {"USER"}});
  for (const RunningMachine& machine : machines) {
    table.add({{std::to_string(machine.process)},
               {machine.environment},
               {age_of(machine)},
               {std::string(to_string(machine.start))},
               {format_size(machine.memory_bytes)},
               {machine.user}});
  }
  return table;
}

Json document_of(const std::vector<RunningMachine>& machines) {
  Json list = Json::array();
  for (const RunningMachine& machine : machines) {
    list.push_back({{"environment", machine.environment},
                    {"started", to_string(machine.start)},
                    {"since", format_time(machine.since)},
                    {"memory_bytes", machine.memory_bytes},
                    {"user", machine.user},
                    {"pid", machine.process},
                    {"monitor_pid", machine.monitor}});
  }
  return {{"machines", std::move(list)}};
}

class PsCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words&) override {
    const auto machines = running_machines();
    if (json()) {
      context.out.write(render_json(document_of(machines)));
    } else if (machines.empty()) {
      context.err.try_write("no machine runs\n");
    } else {
      context.out.write(table_of(machines).render(context.out));
    }
    return kDone;
  }
};

}  // namespace

constinit const CommandEntry kPsCommand{
    .group = "",
    .name = "ps",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Show the machines that run on this host",
    .details =
        "PID is the pyro that runs a machine: SIGTERM ends both. STARTED is warm (from its "
        "prepared "
        "state),\n"
        "kernel (from the state of its kernel) or cold (booted). MEMORY is what it holds now, with "
        "its share\n"
        "of what machines have in common. Machines of all users are shown.\n",
    .examples =
        "  pyro ps\n"
        "  pyro ps --json | jq '.machines[].environment'\n",
    .make = make_command<PsCommand>,
};

}  // namespace pyro::cli
