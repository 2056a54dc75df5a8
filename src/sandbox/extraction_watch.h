// Watches over the extractor from outside, while nothing is heard of it and while it works.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>

namespace pyro {

struct Patience {
  std::chrono::milliseconds step{250};  ///< How often to look at an extractor that says nothing.
  unsigned steps = 40;                  ///< After so many without progress it is given up.

  [[nodiscard]] std::chrono::seconds whole() const {
    return std::chrono::ceil<std::chrono::seconds>(step * steps);
  }
};

/// Whether a process does nothing for too long. It is not a matter of time alone: what has used a
/// processor, waits for one or for a disk, works.
class StallWatch {
 public:
  StallWatch(pid_t process, unsigned steps) : process_(process), most_(steps) {}

  /// Its messages show progress.
  void progress() noexcept { idle_steps_ = 0; }

  /// A step is over without progress. True when there were too many of them in a row.
  [[nodiscard]] bool has_stalled();

 private:
  const pid_t process_;
  const unsigned most_;
  unsigned idle_steps_ = 0;
  std::chrono::nanoseconds used_{-1};  // processor time
};

/// The sizes of all `files` together. They bound what the files take on the disk, too: nothing can
/// be allocated behind the end of a file without a system call that the extractor does not have.
[[nodiscard]] std::uint64_t total_size(std::span<const int> files) noexcept;

}  // namespace pyro
