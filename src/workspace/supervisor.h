// The supervisor of a workspace: a process that owns its machine, and serves the clients at its
// socket.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/files.h"
#include "pyro/machine.h"
#include "pyro/workspace.h"
#include "workspace/directory.h"
#include "workspace/link.h"
#include "workspace/live_workspace.h"

namespace pyro {

/// Starts the supervisor of a workspace with the program `executable`. `lock`: of one that is not
/// an existing one, which the supervisor takes over.
/// @return a connection to it, as at its socket; nothing when there is another one
/// @throws Error(failed) when it does not come up
[[nodiscard]] std::unique_ptr<Link> start_supervisor(const std::filesystem::path& executable,
                                                     const WorkspaceSettings& settings,
                                                     const WorkspaceDirectory& workspace,
                                                     const FileLock* lock = nullptr);

/// What a supervisor does: it serves `first` and all that connect, until the workspace has nothing
/// to do.
void serve_workspace(const WorkspaceSettings& settings, WorkspaceDirectory workspace,
                     std::unique_ptr<Link> first);

/// In the documents of requests. Texts that may be any bytes are base64.
namespace request {
inline constexpr const char* kKind = "request";
inline constexpr const char* kCreate = "create";
inline constexpr const char* kRun = "run";
inline constexpr const char* kAttach = "attach";
inline constexpr const char* kCopyIn = "copy_in";
inline constexpr const char* kCopyOut = "copy_out";
inline constexpr const char* kCopyChanges = "copy_changes";
inline constexpr const char* kCopyFiles = "copy_files";
inline constexpr const char* kArchive = "archive";
inline constexpr const char* kReplaceFiles = "replace_files";
inline constexpr const char* kSignal = "signal";
inline constexpr const char* kPublish = "publish";
inline constexpr const char* kSnapshot = "snapshot";
inline constexpr const char* kRemoveSnapshots = "remove_snapshots";
inline constexpr const char* kReset = "reset";
inline constexpr const char* kFork = "fork";
inline constexpr const char* kSuspend = "suspend";
inline constexpr const char* kStop = "stop";
/// What came of it, and of a failure.
inline constexpr const char* kResult = "result";
inline constexpr const char* kError = "error";
/// The first answer: from here on the request is not to be repeated.
inline constexpr const char* kAccepted = "accepted";
/// In its place, of a supervisor that ends: its successor is to be asked.
inline constexpr const char* kTryAgain = "try_again";
}  // namespace request

}  // namespace pyro
