// pyro env list: the environments of the catalog, or updates of installed ones.
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

class ListCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--installed", installed_only_, "Only those that are installed");
    arguments.flag("--outdated", outdated_, "Ask the registries which of those have a newer image");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words&) override {
    if (outdated_) return run_outdated(context);
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
  int run_outdated(Context& context) const {
    const auto view = progress_.make_view(context);
    const auto updates = EnvironmentStore(context.store).updates(context.stop, view.get());
    if (json()) {
      context.out.write(render_json(updates_payload(updates)));
    } else if (std::ranges::any_of(updates, is_newer)) {
      context.out.write(table_of(updates).render(context.out));
    }
    int code = kDone;
    for (const UpdateStatus& update : updates) {
      if (!update.error) continue;
      tell(context, update);
      if (code == kDone) code = exit_code(update.error->code());
    }
    if (code == kDone && !json() && std::ranges::none_of(updates, is_newer)) {
      context.err.try_write("nothing that is installed has a newer image\n");
    }
    return code;
  }

  static bool is_newer(const UpdateStatus& update) { return update.newer_available == true; }

  static Table table_of(const std::vector<UpdateStatus>& updates) {
    Table table({{"NAME"}, {"VERSION"}, {"INSTALLED"}, {"NEWEST"}});
    for (const UpdateStatus& update : updates) {
      if (!is_newer(update)) continue;
      table.add({{update.status.environment.name},
                 {update.status.environment.version},
                 {update.installed_digest->to_string()},
                 {update.newest_digest->to_string()}});
    }
    return table;
  }

  static void tell(const Context& context, const UpdateStatus& update) {
    Error error = *update.error;
    error.add_context("cannot tell whether " + update.status.environment.name +
                      " has a newer image");
    context.err.try_write(render_error(error, context.err));
  }

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
  bool outdated_ = false;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kListCommand{
    .group = "env",
    .name = "list",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "List environments, installed or not",
    .details =
        "STATUS is one of: available, installed, differs from pin (the catalog pins another image, "
        "or\n"
        "nothing proves that this is the pinned one; the next pull replaces it), incompatible "
        "(needs another\n"
        "version of pyro), unavailable (was read from standard input, and the install was "
        "removed). SIZE is\n"
        "disk space. --outdated lists only installed environments with a newer image in the "
        "registry;\n"
        "'pyro env pull --force' installs it. Environments that are pinned by digest need no "
        "request. With\n"
        "--json, --outdated lists all installed environments.\n"
        "'pyro env ls' is the same command.\n",
    .examples =
        "  pyro env list\n"
        "  pyro env list --installed\n"
        "  pyro env list --outdated --json | jq '.environments[] | select(.newer_available)'\n"
        "  pyro env list --json | jq -r '.environments[].name'\n",
    .make = make_command<ListCommand>,
    .alias = "ls",
};

}  // namespace pyro::cli
