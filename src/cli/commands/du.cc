// pyro env du: the disk usage of the cache.
#include <string>

#include "cli/commands/commands.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

std::string shown_age(const std::optional<std::chrono::system_clock::time_point>& time) {
  if (!time) return "-";
  return format_age(*time);
}

/// A row for bytes that belong to no environment.
void add_rest(Table& table, const char* what, std::uint64_t bytes) {
  if (bytes > 0) table.add({{what}, {""}, {format_size(bytes)}, {""}, {""}, {""}});
}

Table table_of(const CacheUsage& usage, bool shows_states) {
  Table table({{"NAME"},
               {"VERSION"},
               {"SIZE", Table::Align::right},
               {"PREPARED", Table::Align::right},
               {"LAST USED"},
               {"BASE"}});
  for (const InstallUsage& install : usage.installs) {
    table.add({{install.name.value_or(install.directory)},
               {install.version.value_or("broken")},
               {format_size(install.disk_bytes)},
               {install.states.empty() ? "-" : format_size(bytes_of(install.states))},
               {shown_age(install.last_used)},
               {install.base.value_or("-")}});
    if (!shows_states) continue;
    for (const StateUsage& state : install.states) {
      table.add({{"  " + state.name}, {""}, {""}, {format_size(state.bytes)}, {""}, {""}});
    }
  }
  add_rest(table, "(interrupted pulls)", usage.partial_bytes);
  add_rest(table, "(in the making)", usage.staging_bytes);
  add_rest(table, "(locks and others)", usage.other_bytes);
  table.add({{"total"}, {""}, {format_size(usage.total_bytes)}, {""}, {""}, {""}});
  return table;
}

class DuCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--states", shows_states_, "Also show each saved state, below its environment");
    declare_json(arguments);
  }

  int run(Context& context, const Words&) override {
    const CacheUsage usage = EnvironmentStore(context.store).usage();
    if (json()) {
      context.out.write(render_json(usage_payload(usage, context.store.cache_dir.string())));
    } else {
      context.out.write(table_of(usage, shows_states_).render(context.out));
    }
    return kDone;
  }

 private:
  bool shows_states_ = false;
};

}  // namespace

constinit const CommandEntry kDuCommand{
    .group = "env",
    .name = "du",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Show the disk space of the cache, and when installs were last used",
    .details =
        "SIZE is disk space without holes; for an install from a runtime bundle, only its links "
        "count.\n"
        "PREPARED is the saved states of its machines and its kernel ('pyro prepare'): one for "
        "each number of\n"
        "processors, memory size, network and disk. LAST USED is the installation or the last "
        "boot, which\n"
        "'pyro env prune' goes by. BASE is the environment whose kernel a container image boots, "
        "and takes its\n"
        "space in a line of its own. The total includes everything.\n",
    .examples =
        "  pyro env du\n"
        "  pyro env du --json | jq .total_bytes\n"
        "  pyro env prune --older-than 30d --keep-storage 10GiB --dry-run\n",
    .make = make_command<DuCommand>,
};

}  // namespace pyro::cli
