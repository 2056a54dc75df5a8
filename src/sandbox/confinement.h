// Shuts the process in: what it has open already is all that it can reach.
#pragma once

#include <cstdint>

namespace pyro {

/// Which of the kernel's mechanisms are in force: those that it has.
struct Confinement {
  bool no_new_privileges = false;
  bool landlock = false;
  bool seccomp = false;

  friend bool operator==(const Confinement&, const Confinement&) = default;
};

/// What happens to a system call that is not on the list.
enum class Forbidden {
  kills,  ///< The process, at once.
  fails,  ///< With EPERM: for tests, which want to try the next one, too.
};

/// What it may use up.
struct Resources {
  std::uint64_t largest_file = 0;
  unsigned descriptors = 0;  ///< The highest it has, and one.
};

/// For ever, and for all threads that are started from now on; there must be no other yet.
[[nodiscard]] Confinement confine(const Resources& resources, Forbidden forbidden);

// --- its parts ---

/// No new files beyond the largest, no new descriptors, no core, 1 GiB of memory.
void limit_resources(const Resources& resources);

/// Whatever is executed gains no rights; the others need it.
[[nodiscard]] bool renounce_privileges();

/// Landlock: no path can be opened, made, removed or changed; no TCP; no signals to others.
[[nodiscard]] bool forbid_paths();

/// seccomp: nothing but the system calls that extracting takes.
[[nodiscard]] bool forbid_system_calls(Forbidden forbidden);

}  // namespace pyro
