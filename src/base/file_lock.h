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

/// A shared flock on an open directory, of one of its users; false when somebody else has it locked
/// for himself.
/// @throws Error(filesystem) where there are no locks.
[[nodiscard]] bool try_share_directory(int directory);

/// Gives a lock up before the descriptor is closed.
void unlock_directory(int directory) noexcept;

/// An exclusive flock on an open directory, held until the descriptor is closed; false when
/// somebody else holds one. It says "in use": of staging by a pull, of an install by its user.
/// @throws Error(filesystem) where there are no locks.
[[nodiscard]] bool try_lock_directory(int directory);

}  // namespace pyro
