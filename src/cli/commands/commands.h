// The table of commands, and common parts of several commands.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "cli/command.h"
#include "cli/output.h"
#include "front/documents.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"

namespace pyro::cli {

extern const CommandEntry kListCommand;
extern const CommandEntry kInspectCommand;
extern const CommandEntry kPullCommand;
extern const CommandEntry kVerifyCommand;
extern const CommandEntry kAddCommand;
extern const CommandEntry kBuildCommand;
extern const CommandEntry kRemoveCommand;
extern const CommandEntry kPruneCommand;
extern const CommandEntry kDuCommand;
extern const CommandEntry kExportCommand;
extern const CommandEntry kImportCommand;
extern const CommandEntry kPrepareCommand;
extern const CommandEntry kRunCommand;
extern const CommandEntry kShellCommand;
extern const CommandEntry kPsCommand;
extern const CommandEntry kDoctorCommand;
extern const CommandEntry kLoginCommand;
extern const CommandEntry kLogoutCommand;
extern const CommandEntry kCompletionCommand;
extern const CommandEntry kWorkspaceCreateCommand;
extern const CommandEntry kWorkspaceListCommand;
extern const CommandEntry kWorkspaceStatusCommand;
extern const CommandEntry kWorkspaceExecCommand;
extern const CommandEntry kWorkspaceShellCommand;
extern const CommandEntry kWorkspacePsCommand;
extern const CommandEntry kWorkspaceLogsCommand;
extern const CommandEntry kWorkspaceAttachCommand;
extern const CommandEntry kWorkspaceSignalCommand;
extern const CommandEntry kWorkspaceReadCommand;
extern const CommandEntry kWorkspaceWriteCommand;
extern const CommandEntry kWorkspaceCopyInCommand;
extern const CommandEntry kWorkspaceCopyOutCommand;
extern const CommandEntry kWorkspaceRenameCommand;
extern const CommandEntry kWorkspaceSummaryCommand;
extern const CommandEntry kWorkspaceDiffCommand;
extern const CommandEntry kWorkspacePatchCommand;
extern const CommandEntry kWorkspaceSnapshotCommand;
extern const CommandEntry kWorkspaceSnapshotsCommand;
extern const CommandEntry kWorkspaceSnapshotDeleteCommand;
extern const CommandEntry kWorkspaceResetCommand;
extern const CommandEntry kWorkspaceForkCommand;
extern const CommandEntry kWorkspacePublishCommand;
extern const CommandEntry kWorkspaceCommitCommand;
extern const CommandEntry kWorkspaceSuspendCommand;
extern const CommandEntry kWorkspaceStopCommand;
extern const CommandEntry kWorkspaceDeleteCommand;

/// The group that `word` means: one has a second, short name.
[[nodiscard]] inline std::string group_called(const std::string& word) {
  return word == "ws" ? "workspace" : word;
}

/// All of them, in the order that help lists them.
[[nodiscard]] std::span<const CommandEntry* const> all_commands() noexcept;

/// The results of one command over several names, some of which may fail.
class BatchResult {
 public:
  explicit BatchResult(const Context& context) : context_(context) {}

  /// Calls `each`, which returns the payload of a name, null for none, or throws. With one name its
  /// failure is thrown on. Of several, every one is tried; a failure is printed to stderr and
  /// stands among the payloads as {"name", "error"}, and the exit code is that of the first one.
  /// After an interruption the remaining names count as interrupted.
  void for_each(const Words& names, const std::function<Json(const std::string& name)>& each);

  /// Sets the exit code, unless there is one: for a name that has a payload in spite of a failure.
  void note(ErrorCode code) noexcept;

  [[nodiscard]] const Json& payloads() const noexcept { return payloads_; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  void add(Json payload);
  void add_failure(const std::string& name, const Error& error);

  const Context& context_;
  Json payloads_ = Json::array();
  int exit_code_ = kDone;
};

/// "available", "unavailable", "installed", "differs from pin" or "incompatible".
[[nodiscard]] Cell status_cell(const EnvironmentStatus& status);

}  // namespace pyro::cli
