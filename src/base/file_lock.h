// A lock between processes on a file that is never removed: flock(2), freed when its holder ends.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/files.h"

namespace pyro {

class FileLock {
 public:
  /// Nothing when somebody else holds it.
  [[nodiscard]] static std::optional<FileLock> try_acquire(int directory, const std::string& name,
                                                           const std::filesystem::path& path);

  struct Waiting {
    std::optional<std::chrono::milliseconds> timeout;
    std::stop_token stop;
    /// Called once, before waiting, with the holder's process id where it is known.
    std::function<void(std::optional<int> holder)> on_wait;
  };
  /// @throws Error(busy) after the timeout; Error(interrupted).
  [[nodiscard]] static FileLock acquire(int directory, const std::string& name,
                                        const std::filesystem::path& path, const Waiting& waiting);

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

enum class LockKind { shared, exclusive };

/// A flock on an open file, held until the descriptor is closed, in place of one that is held with
/// it already; false when another one is in the way. `path` is what errors call it.
/// @throws Error(filesystem) where there are no locks
[[nodiscard]] bool try_lock(int fd, LockKind kind, const std::filesystem::path& path);

}  // namespace pyro
