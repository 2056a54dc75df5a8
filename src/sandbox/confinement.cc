// Shuts the process in.
#include "sandbox/confinement.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

namespace pyro {
namespace {

void lower(__rlimit_resource resource, rlim_t most) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  limit.rlim_max = std::min(limit.rlim_max, most);
  limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
  ::setrlimit(resource, &limit);
}

}  // namespace

void limit_resources(const Resources& resources) {
#ifndef PYRO_SANITIZED  // whose shadow memory takes terabytes of addresses
  // A window of 128 MiB, stacks, and the address space that malloc sets aside for each thread.
  constexpr rlim_t kMostMemory = rlim_t{1} << 30;
  lower(RLIMIT_AS, kMostMemory);
#endif
  lower(RLIMIT_FSIZE, resources.largest_file);
  lower(RLIMIT_NOFILE, resources.descriptors);
  lower(RLIMIT_CORE, 0);
}

bool renounce_privileges() {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

Confinement confine(const Resources& resources, Forbidden forbidden) {
  Confinement confinement;
  confinement.no_new_privileges = renounce_privileges();
  confinement.landlock = forbid_paths();
  limit_resources(resources);  // Landlock takes a descriptor for a while
#ifndef PYRO_SANITIZED         // whose runtime opens files and starts threads of its own
  confinement.seccomp = forbid_system_calls(forbidden);
#else
  static_cast<void>(forbidden);
#endif
  return confinement;
}

}  // namespace pyro
