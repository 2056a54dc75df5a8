// pyro env remove: removes environments from the cache and the user's catalog.
#include <string>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"
#include "pyro/user_catalog.h"

namespace pyro::cli {
namespace {

class RemoveCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& names) override {
    const auto view = progress_.make_view(context);
    EnvironmentStore store(context.store);
    BatchResult results(context);
    results.for_each(
        names, [&](const std::string& name) { return remove(context, store, name, view.get()); });
    if (json()) {
      const Json& payloads = results.payloads();
      context.out.write(render_json(names.size() == 1 ? payloads.front() : payloads));
    }
    return results.exit_code();
  }

 private:
  /// The install first: when it is in use, all stays.
  Json remove(const Context& context, EnvironmentStore& store, const std::string& name,
              ProgressListener* progress) const {
    const RemovalReport report = store.remove(name, progress);
    const auto file = user_catalog_file(context.variables);
    const bool entry_removed = file && UserCatalog(*file).remove(name, context.stop);
    if (report.removed.empty() && !entry_removed) {
      throw Error(ErrorCode::not_found, "environment '" + name + "' is not installed",
                  "only entries that 'pyro env add' created can be removed");
    }
    if (!json()) context.out.write(text_of(name, report, entry_removed));
    return removal_payload(name, report, entry_removed);
  }

  static std::string text_of(const std::string& name, const RemovalReport& report,
                             bool entry_removed) {
    std::string text;
    for (const std::string& removed : report.removed)
      text += "removed " + printable(removed) + '\n';
    if (entry_removed) text += "removed " + printable(name) + " from the list\n";
    if (!report.removed.empty()) text += "reclaimed " + format_size(report.bytes_reclaimed) + '\n';
    return text;
  }

  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kRemoveCommand{
    .group = "env",
    .name = "remove",
    .operands = "NAME...",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Remove environments from the cache, and their entries from your catalog",
    .details =
        "Removes all versions of each NAME and their prepared states. If one of them is in use, "
        "nothing of\n"
        "that environment is removed, and the exit code is 75. An entry that 'pyro env add' "
        "created is\n"
        "removed, too; entries of other catalogs stay.\n"
        "Every name is tried; the exit code is that of the first failure.\n"
        "'pyro env rm' is the same command.\n",
    .examples =
        "  pyro env remove tool:1\n"
        "  pyro env remove debian:12-build --json | jq .bytes_reclaimed\n",
    .make = make_command<RemoveCommand>,
    .alias = "rm",
    .operand_use = OperandUse::names,
};

}  // namespace pyro::cli
