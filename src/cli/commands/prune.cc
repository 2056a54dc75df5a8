// pyro env prune: removes unused files from the cache.
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

/// A bare number counts days: read as seconds, it would remove more.
std::optional<std::chrono::seconds> parse_age(std::string_view text) {
  const auto age = parse_duration(text, std::chrono::hours(24));
  return age ? std::optional(std::chrono::ceil<std::chrono::seconds>(*age)) : std::nullopt;
}

std::string lines(const char* verb, const Words& names, const char* reason) {
  std::string text;
  for (const std::string& name : names) {
    text += std::string(verb) + ' ' + printable(name) + reason + '\n';
  }
  return text;
}

/// The last line of the output.
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
         lines("kept", report.skipped_bases, ": container images boot its kernel") +
         summary(report);
}

class PruneCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--dry-run", options_.dry_run, "Remove nothing; show what would be removed");
    arguments.flag("--unknown", options_.unknown,
                   "Also remove installs whose catalog file is not loaded");
    arguments.flag("--all", options_.all, "Also remove all environments that are not in use");
    arguments.parsed("--older-than", "TIME", options_.older_than, parse_age,
                     "a time like 30d, 12h or 2w",
                     "Also remove installs that were not used for TIME: 12h,\n30d, 2w; a bare "
                     "number counts days");
    arguments.size(
        "--keep-storage", options_.keep_storage,
        "Also remove the least recently used installs until the\nothers take at most SIZE");
    arguments.flag("-y,--yes", yes_, "Remove intact installs without asking for confirmation");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words&) override {
    const auto view = progress_.make_view(context);
    options_.progress = view.get();
    EnvironmentStore store(context.store);
    if (must_ask(context) && !may_go_on(context, store)) {
      context.err.try_write("nothing was removed\n");
      return exit_code(ErrorCode::failed);
    }
    const PruneReport report = store.prune(options_);
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

  /// Only before good installs go.
  [[nodiscard]] bool must_ask(const Context& context) const {
    const bool takes_good_ones = options_.all || options_.older_than || options_.keep_storage;
    return takes_good_ones && !options_.dry_run && !yes_ && !json() && is_terminal(STDIN_FILENO) &&
           context.err.is_terminal();
  }

  bool may_go_on(const Context& context, EnvironmentStore& store) const {
    PruneOptions rehearsal = options_;
    rehearsal.dry_run = true;
    const PruneReport report = store.prune(rehearsal);
    if (report.deleted_environment_dirs.empty()) return true;
    context.err.try_write(lines("would remove", report.deleted_environment_dirs, ""));
    const std::string question = "Remove " + format_size(report.bytes_reclaimed) + "? [y/N] ";
    const std::string answer = ask(context.err, question, Answer::shown, context.stop);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  PruneOptions options_;
  bool yes_ = false;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kPruneCommand{
    .group = "env",
    .name = "prune",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Remove unneeded content from the cache",
    .details =
        "Removes remains of interrupted pulls, broken installs, and installs of names and versions "
        "that\n"
        "are not in the catalog. Installs in use stay, and so do intact ones, unless --all, "
        "--older-than\n"
        "or --keep-storage is given. With --older-than or --keep-storage, only the installs that "
        "one of\n"
        "them selects are removed. An environment whose kernel a container image boots stays as "
        "long as\n"
        "that image does. The last use is the installation or the last boot by pyro; "
        "boots by\n"
        "other programs are not recorded ('pyro env du'). The size includes prepared states.\n",
    .examples =
        "  pyro env prune --dry-run\n"
        "  pyro env prune\n"
        "  pyro env prune --older-than 30d --keep-storage 10GiB\n"
        "  pyro env prune --json | jq .bytes_reclaimed\n",
    .make = make_command<PruneCommand>,
};

}  // namespace pyro::cli
