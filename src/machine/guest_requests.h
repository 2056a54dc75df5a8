// Requests to a guest: commands and copies.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/guest_session.h"
#include "machine/tree_receiver.h"

namespace pyro {

/// How a command ended.
struct CommandEnd {
  int code = 0;
  int signal = 0;
  bool timed_out = false;
  bool interrupted = false;  ///< A stop was requested while it ran.
  bool cut_off = false;      ///< It did not end when killed: the guest takes no further requests.
  int refused = 0;           ///< The error number when it could not be started.
  std::string refusal;
};

/// How long a guest may take to kill a command.
inline constexpr std::chrono::seconds kKillTimeout{5};

/// Runs the command of `options` to its end. A stop request ends it as a timeout does, and is
/// cleared from the session, so that copies can follow.
[[nodiscard]] CommandEnd run_command(GuestSession& session, const CommandOptions& options,
                                     std::chrono::milliseconds kill_timeout = kKillTimeout);

/// The same for a command that is running in an adopted session. Without an input, that ends.
[[nodiscard]] CommandEnd follow_command(GuestSession& session, const CommandOptions& options);

/// The name of a copy of `path` in a directory. Empty when `path` ends with "/.": then the content
/// of the directory is copied.
[[nodiscard]] std::string copied_name(const std::string& path);

/// How long a guest may be silent in the middle of a copy.
inline constexpr std::chrono::seconds kCopyIdleTimeout{60};

/// Called for each entry that is left out.
using Note = std::function<void(std::string_view)>;

/// A Note that passes the first few on to `note`, which must outlive it, and drops the rest.
[[nodiscard]] Note limit_notes(const Note& note);

/// Copies from the host to the guest. Entries that cannot be read or copied are left out.
/// `progress` may be null.
/// @return the number of entries of a tree that could not be read
/// @throws Error naming the path that failed.
std::size_t copy_in(GuestSession& session, const Copy& copy, const Note& note,
                    const Timeout& timeout = {kCopyIdleTimeout},
                    ProgressListener* progress = nullptr);

/// Chooses among the entries of a directory that is sent. Paths are below it.
class TreeChoice {
 public:
  virtual ~TreeChoice() = default;

  /// Of a directory: otherwise nothing of its content is sent.
  [[nodiscard]] virtual bool wants(const std::string& path, bool is_directory) const = 0;
  /// What is sent in place of the content of the open file; nothing for the content itself.
  [[nodiscard]] virtual std::optional<std::string> content_of(const std::string& path,
                                                              int file) const = 0;
};

/// A directory of the host, and what of it is sent. Without a path it is an empty one.
struct SeedOptions {
  std::string from = {};
  std::string user = {};                    ///< Of the guest, who owns it; empty for root.
  const TreeChoice* choice = nullptr;       ///< Null for all.
  std::optional<std::uint64_t> bytes = {};  ///< Its size, for the progress.
};

/// The paths that the request which follows is about.
/// @throws Error(usage) for an impossible one
void send_paths(GuestSession& session, const std::vector<std::string>& paths);

/// Makes kWorkspace of the guest.
/// @return as copy_in()
std::size_t send_seed(GuestSession& session, const SeedOptions& seed, const Note& note,
                      const Timeout& timeout = {kCopyIdleTimeout},
                      ProgressListener* progress = nullptr);

/// Which versions of the changed files of a workspace.
enum class ChangedFiles { before, after };

/// Where to look for changes.
struct ChangesScope {
  std::vector<std::string> paths = {};  ///< These alone, and what is in them. Empty for all.
  bool of_system = false;               ///< Around kWorkspace: paths are then below /.
};

/// Copies the files that were changed since the workspace was made to the existing directory `to`.
void copy_changes(GuestSession& session, ChangedFiles which, const ChangesScope& scope,
                  const std::string& to, const Note& note,
                  const Timeout& timeout = {kCopyIdleTimeout},
                  ProgressListener* progress = nullptr);

/// Copies the files of kWorkspace at these paths, as far as they exist, to the existing directory
/// `to`.
/// @throws Error(failed) for a path through a symbolic link
void copy_files(GuestSession& session, const std::vector<std::string>& paths, const std::string& to,
                const Note& note, const Timeout& timeout = {kCopyIdleTimeout});

/// Puts the files in the directory `from` into kWorkspace, and removes those at the paths
/// `removed`, when all have arrived. Existing files keep their owners and permissions.
void replace_files(GuestSession& session, const std::string& from,
                   const std::vector<std::string>& removed, const Note& note,
                   const Timeout& timeout = {kCopyIdleTimeout});

/// Writes the whole system of a workspace, as a tar, to the descriptor `to`.
void archive_system(GuestSession& session, int to, const Timeout& timeout = {kCopyIdleTimeout},
                    ProgressListener* progress = nullptr);

/// Copies from the guest to the host. Nothing is written outside of `copy.to`, whatever the guest
/// sends. `rules` may be null.
void copy_out(GuestSession& session, const Copy& copy, const Note& note,
              const Timeout& timeout = {kCopyIdleTimeout}, ProgressListener* progress = nullptr,
              TreeRules* rules = nullptr);

}  // namespace pyro
