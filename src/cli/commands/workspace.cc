// pyro workspace create, list, status, rename, delete, publish: workspaces as a whole.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/image_names.h"
#include "cli/progress.h"
#include "front/settings.h"
#include "front/text.h"

namespace pyro::cli {

namespace {

Colour colour_of(WorkspaceActivity activity) {
  return activity == WorkspaceActivity::running ? Colour::green : Colour::dim;
}

class CreateCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    machine_.memory_mib = options_.memory_mib;
    machine_.disk_mib = options_.disk_mib;
    arguments.text("--environment", "NAME", options_.environment,
                   "The environment or container image it is made of\n(default debian:12)");
    arguments.text(
        "--from", "DIR|WORKSPACE[@SNAPSHOT]", options_.from,
        "Begin with the content of DIR in /workspace. Of a Git\ncheckout: what Git "
        "tracks, what it does not ignore, and\n.git without credentials. Of a workspace: "
        "as 'fork'");
    arguments.flag("--all", options_.all_files,
                   "Take everything in DIR, also what Git ignores, .env*,\n*.pem and id_*");
    arguments.value(
        "--idle", "TIME", [this](const std::string& text) { set_idle(text); },
        "Suspend it after TIME without a process and a request\n(default 10m; 0: never); with "
        "TIME!, whatever runs in it");
    arguments.time("--ttl", ttl_,
                   "Suspend it TIME after it was made. The next command\ndeletes it, unless it "
                   "has changes that no 'diff',\n'copy-out' or 'commit' has covered");
    arguments.flag("--discard", options_.discard, "Let --ttl delete it with its changes");
    declare_shape(
        arguments, machine_,
        {.memory = "Memory of the machine (default 2G); a bare number counts\nMiB",
         .disk = "Size of its disk (default 8G), which takes the room that\nis written; a "
                 "bare number counts MiB"});
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    options_.cpus = machine_.cpus;
    options_.memory_mib = machine_.memory_mib;
    options_.disk_mib = machine_.disk_mib;
    options_.network = machine_.network;
    if (ttl_) options_.ttl = std::chrono::ceil<std::chrono::seconds>(*ttl_);
    options_.environment = entry_name(options_.environment);
    add_image(context, options_.environment);
    Workspaces workspaces = workspaces_of(context);
    const std::string name =
        operands.empty() ? free_workspace_name(workspaces, options_.environment) : operands.front();
    CreatedWorkspace created;
    if (is_workspace(options_.from)) {
      created.is_new = fork(context, workspaces, name);
    } else {
      const auto view = progress_.make_view(context);
      const ClearAtEnd clear(view.get());
      created = workspaces.create(name, options_, {.progress = view.get(), .stop = context.stop});
    }
    if (json()) {
      context.out.write(render_json(workspace_payload(workspaces.status(name))));
    } else {
      context.out.write(name + '\n');
      tell(context, created);
    }
    return created.unreadable == 0 ? kDone : exit_code(ErrorCode::failed);
  }

 private:
  void set_idle(std::string text) {
    options_.idle_with_processes = text.ends_with('!');
    if (options_.idle_with_processes) text.pop_back();
    const auto idle = parse_duration(text);
    if (!idle) {
      throw Error(ErrorCode::usage, "'--idle " + text + "' is not a time like 90s, 5m or 12h");
    }
    options_.idle = std::chrono::ceil<std::chrono::seconds>(*idle);
  }

  /// A directory needs a slash where a workspace is called like it.
  static bool is_workspace(const std::string& from) {
    std::error_code none;
    return !from.empty() && from.find('/') == std::string::npos &&
           !std::filesystem::is_directory(from, none);
  }

  /// False when there is one of that name.
  bool fork(const Context& context, Workspaces& workspaces, const std::string& name) const {
    const auto known = workspaces.list();
    if (std::ranges::find(known, name, &WorkspaceStatus::name) != known.end()) return false;
    const auto [source, snapshot] = split_snapshot(options_.from);
    workspaces.fork(source, snapshot, name, {.stop = context.stop});
    return true;
  }

  void tell(const Context& context, const CreatedWorkspace& created) const {
    const auto say = [&](const std::string& text) { context.err.try_write(render_note(text)); };
    if (!created.is_new) return say("it was there already");
    if (options_.from.empty() || is_workspace(options_.from)) return;
    say(fmt::format("{} files, {} from {}", created.files, format_size(created.bytes),
                    options_.from));
    constexpr std::size_t kMostShown = 20;
    for (std::size_t i = 0; i < std::min(created.secrets.size(), kMostShown); ++i) {
      say("left out: " + created.secrets[i]);
    }
    if (created.secrets.size() > kMostShown) {
      say(fmt::format("left out: {} more", created.secrets.size() - kMostShown));
    }
    if (!created.secrets.empty()) say("these may be secrets by their names; --all takes them");
  }

  NewWorkspace options_;
  MachineOptions machine_;
  std::optional<std::chrono::milliseconds> ttl_;
  ProgressArguments progress_;
};

class WorkspaceListCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words&) override {
    const auto view = make_warning_view(context);
    const auto workspaces = workspaces_of(context).list(view.get());
    if (json()) {
      Json list = Json::array();
      for (const WorkspaceStatus& status : workspaces) list.push_back(workspace_payload(status));
      context.out.write(render_json({{"workspaces", std::move(list)}}));
    } else if (workspaces.empty()) {
      context.err.try_write("there is no workspace: 'pyro workspace create' makes one\n");
    } else {
      context.out.write(table_of(workspaces).render(context.out));
    }
    return kDone;
  }

 private:
  static Table table_of(const std::vector<WorkspaceStatus>& workspaces) {
    Table table({{"NAME"},
                 {"ENVIRONMENT"},
                 {"STATE"},
                 {"PROCESSES", Table::Align::right},
                 {"DISK", Table::Align::right},
                 {"LAST USED"}});
    for (const WorkspaceStatus& status : workspaces) {
      table.add({{status.name},
                 {status.environment},
                 {std::string(to_string(status.activity)), colour_of(status.activity)},
                 {std::to_string(status.running_processes)},
                 {format_size(status.disk_bytes)},
                 {format_age(status.last_used)}});
    }
    return table;
  }
};

std::string expiry_of(const WorkspaceStatus& status) {
  if (!status.expires) return "never";
  const auto left = *status.expires - std::chrono::system_clock::now();
  if (left.count() > 0) {
    return "in " + format_duration(std::chrono::ceil<std::chrono::seconds>(left));
  }
  return status.has_changes ? "expired; it stays for its changes" : "expired";
}

class StatusCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const WorkspaceStatus status = workspaces_of(context).status(operands.front());
    context.out.write(json() ? render_json(workspace_payload(status))
                             : text_of(status, context.out));
    return kDone;
  }

 private:
  static std::string text_of(const WorkspaceStatus& status, const Terminal& terminal) {
    const std::string idle = status.idle.count() == 0 ? "never" : format_duration(status.idle);
    const std::string with_processes = status.idle_with_processes ? ", whatever runs in it" : "";
    return render_fields(
        {{"Name", {status.name}},
         {"Environment", {status.environment + ' ' + status.version}},
         {"State", {std::string(to_string(status.activity))}},
         {"Processes", {std::to_string(status.running_processes)}},
         {"Processors", {std::to_string(status.cpus)}},
         {"Memory", {std::to_string(status.memory_mib) + " MiB"}},
         {"Disk",
          {format_size(status.disk_bytes) + " of " + std::to_string(status.disk_mib) + " MiB"}},
         {"Network", {std::string(to_string(status.network))}},
         {"Suspended after", {idle + with_processes}},
         {"Expires", {expiry_of(status)}},
         {"Snapshots", {std::to_string(status.snapshots)}},
         {"Created", {format_age(status.created)}},
         {"Last used", {format_age(status.last_used)}}},
        terminal);
  }
};

class RenameCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    workspaces_of(context).rename(operands[0], operands[1]);
    return kDone;
  }
};

class DeleteCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--force", force_, "Also while processes run in it");
  }

  int run(Context& context, const Words& operands) override {
    Workspaces workspaces = workspaces_of(context);
    BatchResult result(context);
    result.for_each(operands, [&](const std::string& name) {
      workspaces.remove(name, force_);
      return Json();
    });
    return result.exit_code();
  }

 private:
  bool force_ = false;
};

class PublishCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    PortOptions port = parse_port_options(operands[1]);
    port.port = workspaces_of(context).publish(operands[0], port);
    const bool is_ipv6 = port.address.find(':') != std::string::npos;
    const std::string address = is_ipv6 ? '[' + port.address + ']' : port.address;
    context.out.write(fmt::format("{}:{}\n", address, port.port));
    return kDone;
  }
};

}  // namespace

std::string free_workspace_name(const Workspaces& workspaces, const std::string& like) {
  std::string base = like.substr(like.rfind('/') + 1);
  for (char& c : base) {
    if (std::string_view(":@+").find(c) != std::string_view::npos) c = '-';
  }
  base.resize(std::min<std::size_t>(base.size(), 50));
  const auto known = workspaces.list();
  std::string name = base;
  for (int number = 2; std::ranges::find(known, name, &WorkspaceStatus::name) != known.end();
       ++number) {
    name = fmt::format("{}-{}", base, number);
  }
  return name;
}

constinit const CommandEntry kWorkspaceCreateCommand{
    .group = "workspace",
    .name = "create",
    .operands = "[WORKSPACE]",
    .min_operands = 0,
    .max_operands = 1,
    .purpose = "Make a workspace: a machine with a disk that stay until they are deleted",
    .details =
        "Installs the environment if needed, and prints the name. A workspace of that name is left "
        "as it is.\n"
        "Its files are in /workspace; everything that is written in the machine stays on its "
        "disk.\n",
    .examples =
        "  pyro workspace create\n"
        "  pyro workspace create fix --environment debian:12-build --from . --memory 4G\n",
    .make = make_command<CreateCommand>,
};

constinit const CommandEntry kWorkspaceListCommand{
    .group = "workspace",
    .name = "list",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Show all workspaces",
    .details =
        "DISK is the disk space of each; files that it shares with its environment do not "
        "count.\n",
    .examples =
        "  pyro workspace list\n"
        "  pyro workspace list --json | jq -r '.workspaces[].name'\n",
    .make = make_command<WorkspaceListCommand>,
    .alias = "ls",
};

constinit const CommandEntry kWorkspaceStatusCommand{
    .group = "workspace",
    .name = "status",
    .operands = "WORKSPACE",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Show the details of one workspace",
    .details = "",
    .examples = "  pyro workspace status fix\n",
    .make = make_command<StatusCommand>,
};

constinit const CommandEntry kWorkspaceRenameCommand{
    .group = "workspace",
    .name = "rename",
    .operands = "WORKSPACE NEW",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Rename a workspace whose machine does not run",
    .details = "",
    .examples = "  pyro workspace rename fix fix-parser\n",
    .make = make_command<RenameCommand>,
};

constinit const CommandEntry kWorkspaceDeleteCommand{
    .group = "workspace",
    .name = "delete",
    .operands = "WORKSPACE...",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Delete workspaces with everything in them",
    .details = "",
    .examples = "  pyro workspace delete fix\n",
    .make = make_command<DeleteCommand>,
    .alias = "rm",
};

constinit const CommandEntry kWorkspacePublishCommand{
    .group = "workspace",
    .name = "publish",
    .operands = "WORKSPACE [ADDRESS:]PORT:GUESTPORT",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Pass connections to a port of this host on to a workspace",
    .details =
        "Prints the address. PORT 0: any that is free; ADDRESS: 127.0.0.1 by default. The port is "
        "served until\n"
        "the workspace is stopped.\n",
    .examples = "  pyro workspace publish fix 8080:80\n",
    .make = make_command<PublishCommand>,
};

}  // namespace pyro::cli
