// pyro env list: what can be installed, and what is.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/status.h"
#include "cli/exit_code.h"
#include "cli/json_output.h"
#include "cli/sizes.h"
#include "cli/table.h"

namespace pyro::cli {
namespace {

class ListCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--installed", installed_only_, "Only those that are installed");
    declare_json(arguments);
  }

  int run(Context& context, const std::vector<std::string>&) override {
    std::vector<EnvironmentStatus> statuses = EnvironmentStore(context.store).list();
    if (installed_only_) std::erase_if(statuses, [](const auto& s) { return !s.installed; });
    if (json()) {
      context.out.write(render_json(list_payload(statuses)));
    } else if (statuses.empty()) {
      context.err.try_write("no environment is installed; 'pyro env list' shows what there is\n");
    } else {
      context.out.write(table_of(statuses).render(context.out));
    }
    return kDone;
  }

 private:
  static Table table_of(const std::vector<EnvironmentStatus>& statuses) {
    Table table(
        {{"NAME"}, {"VERSION"}, {"STATUS"}, {"SIZE", Table::Align::right}, {"DESCRIPTION"}});
    for (const EnvironmentStatus& status : statuses) {
      table.add({{status.environment.name},
                 {status.environment.version},
                 status_cell(status),
                 {status.installed_bytes ? format_size(*status.installed_bytes) : "-"},
                 {status.environment.description}});
    }
    return table;
  }

  bool installed_only_ = false;
};

}  // namespace

constinit const CommandEntry kListCommand{
    .group = "env",
    .name = "list",
    .operands = "",
    .least_operands = 0,
    .most_operands = 0,
    .purpose = "List the environments there are, installed or not",
    .details =
        "STATUS is one of: available, installed, outdated (the catalog pins another image; the\n"
        "next pull replaces it), incompatible (needs another version of pyro). SIZE is what it\n"
        "takes on disk.\n",
    .examples =
        "  pyro env list\n"
        "  pyro env list --installed\n"
        "  pyro env list --json | jq -r '.environments[].name'\n",
    .make = make_command<ListCommand>,
};

}  // namespace pyro::cli
