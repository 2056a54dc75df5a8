// The table of commands, and common parts of several commands.
#include "cli/commands/commands.h"

#include <utility>

namespace pyro::cli {
namespace {

constexpr const CommandEntry* kCommands[] = {
    &kListCommand,
    &kInspectCommand,
    &kPullCommand,
    &kVerifyCommand,
    &kAddCommand,
    &kBuildCommand,
    &kRemoveCommand,
    &kPruneCommand,
    &kDuCommand,
    &kExportCommand,
    &kImportCommand,
    &kPrepareCommand,
    &kRunCommand,
    &kShellCommand,
    &kWorkspaceCreateCommand,
    &kWorkspaceListCommand,
    &kWorkspaceStatusCommand,
    &kWorkspaceExecCommand,
    &kWorkspaceShellCommand,
    &kWorkspacePsCommand,
    &kWorkspaceLogsCommand,
    &kWorkspaceAttachCommand,
    &kWorkspaceSignalCommand,
    &kWorkspaceReadCommand,
    &kWorkspaceWriteCommand,
    &kWorkspaceCopyInCommand,
    &kWorkspaceCopyOutCommand,
    &kWorkspaceSummaryCommand,
    &kWorkspaceDiffCommand,
    &kWorkspacePatchCommand,
    &kWorkspaceSnapshotCommand,
    &kWorkspaceResetCommand,
    &kWorkspaceForkCommand,
    &kWorkspaceSnapshotsCommand,
    &kWorkspaceSnapshotDeleteCommand,
    &kWorkspacePublishCommand,
    &kWorkspaceRenameCommand,
    &kWorkspaceCommitCommand,
    &kWorkspaceSuspendCommand,
    &kWorkspaceStopCommand,
    &kWorkspaceDeleteCommand,
    &kPsCommand,
    &kDoctorCommand,
    &kLoginCommand,
    &kLogoutCommand,
    &kCompletionCommand,
};

}  // namespace

std::span<const CommandEntry* const> all_commands() noexcept {
  return kCommands;
}

void BatchResult::for_each(const Words& names,
                           const std::function<Json(const std::string& name)>& each) {
  if (names.size() == 1) return add(each(names.front()));
  for (const std::string& name : names) {
    if (context_.stop.stop_requested()) {
      add_failure(name, Error(ErrorCode::interrupted, "interrupted before it began"));
      continue;
    }
    try {
      add(each(name));
    } catch (const Error& error) {
      context_.err.try_write(render_error(error, context_.err));
      add_failure(name, error);
    }
  }
}

void BatchResult::note(ErrorCode code) noexcept {
  if (exit_code_ == kDone) exit_code_ = cli::exit_code(code);
}

void BatchResult::add(Json payload) {
  if (!payload.is_null()) payloads_.push_back(std::move(payload));
}

void BatchResult::add_failure(const std::string& name, const Error& error) {
  note(error.code());
  add(failure_payload(name, error));
}

Cell status_cell(const EnvironmentStatus& status) {
  if (status.outdated) return {"differs from pin", Colour::yellow};
  if (status.installed) return {"installed", Colour::green};
  if (!status.environment.compatible()) return {"incompatible", Colour::red};
  if (status.environment.source_url == kStandardInputUrl) return {"unavailable", Colour::red};
  return {"available", Colour::dim};
}

}  // namespace pyro::cli
