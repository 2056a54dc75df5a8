// pyro env prune: out with what no longer serves.
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands/commands.h"
#include "cli/error_output.h"
#include "cli/exit_code.h"
#include "cli/json_output.h"
#include "cli/printable.h"
#include "cli/sizes.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

std::string lines(const char* verb, const std::vector<std::string>& names, const char* reason) {
  std::string text;
  for (const std::string& name : names) {
    text += std::string(verb) + ' ' + printable(name) + reason + '\n';
  }
  return text;
}

/// The last line: never more than what happened.
std::string summary(const PruneReport& report) {
  const std::string size = format_size(report.bytes_reclaimed);
  if (!report.deleted_environment_dirs.empty() || report.bytes_reclaimed > 0) {
    return (report.dry_run ? "would reclaim " : "reclaimed ") + size + '\n';
  }
  return report.failed.empty() ? "nothing to prune\n" : "reclaimed nothing\n";
}

std::string text_of(const PruneReport& report) {
  const char* const verb = report.dry_run ? "would remove" : "removed";
  return lines(verb, report.deleted_environment_dirs, "") +
         lines("kept", report.skipped_in_use, ": in use") +
         lines("kept", report.skipped_other_catalog,
               ": its catalog file is not loaded (--unknown removes it)") +
         summary(report);
}

class PruneCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--dry-run", options_.dry_run, "Only say what would go");
    arguments.flag("--unknown", options_.unknown,
                   "Also remove what a catalog file brought that is not\nloaded now");
    declare_json(arguments);
  }

  int run(Context& context, const std::vector<std::string>&) override {
    const PruneReport report = EnvironmentStore(context.store).prune(options_);
    context.out.write(json() ? render_json(prune_payload(report)) : text_of(report));
    for (const PruneReport::Failure& failure : report.failed) tell(context, failure);
    return report.failed.empty() ? kDone : exit_code(ErrorCode::filesystem);
  }

 private:
  static void tell(const Context& context, const PruneReport::Failure& failure) {
    Error error(ErrorCode::filesystem, failure.error);
    error.add_context("cannot remove " + failure.name);
    context.err.try_write(render_error(error, context.err));
  }

  PruneOptions options_;
};

}  // namespace

constinit const CommandEntry kPruneCommand{
    .group = "env",
    .name = "prune",
    .operands = "",
    .least_operands = 0,
    .most_operands = 0,
    .purpose = "Remove what no longer serves from the cache",
    .details =
        "That is: left-overs of interrupted pulls, broken installs, and environments or versions\n"
        "that are not in the catalog. What is installed, in use or being pulled stays.\n",
    .examples =
        "  pyro env prune --dry-run\n"
        "  pyro env prune\n"
        "  pyro env prune --json | jq .bytes_reclaimed\n",
    .make = make_command<PruneCommand>,
};

}  // namespace pyro::cli
