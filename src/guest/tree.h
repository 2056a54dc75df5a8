// Files and trees, copied into the guest and out of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/session.h"

namespace pyro::guest {

/// The bits of a mode that are copied.
constexpr mode_t kPermissions = 07777;

/// The names in a directory, without "." and ".."; none, with errno, when it cannot be read.
[[nodiscard]] std::vector<std::string> names_in(const std::string& directory);

/// Where a link leads; empty, with errno, when it cannot be read.
[[nodiscard]] std::string target_of(const std::string& link);

/// Sends something in many steps, within the window of the host.
class SendingTask : public Task {
 public:
  using Task::Task;
  void obey(FrameType /*type*/, std::string_view /*payload*/) override {}
  [[nodiscard]] int patience() const override { return writer_.has_window() ? 0 : -1; }
  void go_on(const pollfd (&)[kMaxWatched]) override;

 private:
  virtual void step() = 0;
};

/// Receives the tree that follows, and reports the first failure at once. `payload` is the
/// destination, NUL, and the name of the copy if that is a directory, as with cp(1). What is new in
/// kWorkspace belongs to its owner.
[[nodiscard]] std::unique_ptr<Task> start_put(Channel& channel, std::uint16_t session,
                                              std::string_view payload);

/// Receives the tree that follows as `root`. `complete` is called when that is over, with 0 or the
/// error number of the first failure, and returns the one that is reported.
[[nodiscard]] std::unique_ptr<Task> start_put_to(Channel& channel, std::uint16_t session,
                                                 std::string root,
                                                 std::function<int(int error)> complete);

/// Receives the tree of a new workspace, which belongs to `user`, and mounts it.
[[nodiscard]] std::unique_ptr<Task> start_seed(Channel& channel, std::uint16_t session,
                                               const std::string& user);

/// Sends the file or tree at `path`, without devices, pipes and sockets.
[[nodiscard]] std::unique_ptr<Task> start_get(Channel& channel, std::uint16_t session,
                                              std::string_view path);

/// Sends the directory `root` with these entries below it, and with the directories that they are
/// in.
[[nodiscard]] std::unique_ptr<Task> start_get_of(Channel& channel, std::uint16_t session,
                                                 std::string root, std::vector<std::string> paths);

/// Sends the files and links below kWorkspace that differ from those of the seed, or those of the
/// system around it that differ from the environment's, as they were or as they are: each with its
/// directories, without .git. `wanted`: only these paths below, and what is in them; empty for all.
///
/// The changes are walked, not the tree: a directory of which nothing was changed costs nothing.
[[nodiscard]] std::unique_ptr<Task> start_changes(Channel& channel, std::uint16_t session,
                                                  const ChangesPayload& changes,
                                                  std::vector<std::string> wanted);

/// Sends the whole system as a tar, with owners, links and attributes, without what is the
/// machine's. Files that change meanwhile may be of any moment.
[[nodiscard]] std::unique_ptr<Task> start_archive(Channel& channel, std::uint16_t session);

/// Sends those of these files and links below kWorkspace that exist. A path through a link is
/// refused.
[[nodiscard]] std::unique_ptr<Task> start_files(Channel& channel, std::uint16_t session,
                                                std::vector<std::string> paths);

/// Receives files below kWorkspace. When all have arrived, they take the places, owners and
/// permissions of those that are there, and the files at `removed` go, with the directories that
/// this empties.
[[nodiscard]] std::unique_ptr<Task> start_replace(Channel& channel, std::uint16_t session,
                                                  std::vector<std::string> removed);

}  // namespace pyro::guest
