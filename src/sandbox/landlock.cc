// Landlock: a set of rules that has none.
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/files.h"
#include "sandbox/confinement.h"

namespace pyro {
namespace {

/// struct landlock_ruleset_attr as of the latest version known here; the kernel's headers may be
/// older than the kernel.
struct Handled {
  std::uint64_t paths;
  std::uint64_t network;
  std::uint64_t scopes;
};

/// What a version of the interface can forbid.
struct Version {
  long number;
  std::size_t size;  // of the structure
  Handled handled;
};

constexpr std::uint64_t lowest_bits(unsigned count) {
  return (std::uint64_t{1} << count) - 1;
}

// From Documentation/userspace-api/landlock.rst. Rights are numbered in the order of their coming.
constexpr std::array kVersions = {
    Version{6, 24, {lowest_bits(16), lowest_bits(2), lowest_bits(2)}},  // abstract sockets, signals
    Version{5, 16, {lowest_bits(16), lowest_bits(2), 0}},               // ioctl on devices
    Version{4, 16, {lowest_bits(15), lowest_bits(2), 0}},               // bind and connect by TCP
    Version{3, 8, {lowest_bits(15), 0, 0}},                             // truncate
    Version{2, 8, {lowest_bits(14), 0, 0}},  // rename between directories
    Version{1, 8, {lowest_bits(13), 0, 0}},
};

long version_of_kernel() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

Fd make_ruleset(const Version& version) {
  return Fd(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &version.handled, version.size, 0)));
}

}  // namespace

bool forbid_paths() {
  const long newest = version_of_kernel();
  for (const Version& version : kVersions) {
    if (version.number > newest) continue;
    const Fd ruleset = make_ruleset(version);
    if (ruleset) return ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
  }
  return false;
}

}  // namespace pyro
