// Landlock: what may be opened.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/files.h"
#include "sandbox/policy.h"

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
  std::uint8_t number;
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

constexpr std::uint64_t kIoctl = std::uint64_t{1} << 15;
/// Of those that are used here; a file that is no directory has no others.
constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                                   LANDLOCK_ACCESS_FS_WRITE_FILE | kIoctl;

std::uint64_t bits_of(PathRule::Rights rights) {
  constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  switch (rights) {
    case PathRule::Rights::read:
      return kRead;
    case PathRule::Rights::read_and_execute:
      return kRead | LANDLOCK_ACCESS_FS_EXECUTE;
    case PathRule::Rights::read_and_write:
      return kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kIoctl;
  }
  return 0;
}

// What cannot be added stays forbidden. Files in memory, which no path leads to, cannot, and need
// no rule.
void add_rule(int ruleset, std::uint64_t handled, const PathRule& rule) {
  const Fd opened(rule.descriptor >= 0 ? -1 : ::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
  const int file = rule.descriptor >= 0 ? rule.descriptor : opened.get();
  struct stat status {};
  if (file < 0 || ::fstat(file, &status) != 0) return;
  landlock_path_beneath_attr beneath{};
  beneath.allowed_access = bits_of(rule.rights) & handled;
  if (!S_ISDIR(status.st_mode)) beneath.allowed_access &= kOfFiles;
  beneath.parent_fd = file;
  ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

}  // namespace

std::pair<Fd, std::uint8_t> make_ruleset(const Policy& policy) {
  const long newest =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  for (const Version& version : kVersions) {
    // There are kernels that claim a version without all of it.
    if (version.number > newest) continue;
    Handled handled = version.handled;
    if (policy.tcp) handled.network = 0;
    Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, version.size, 0)));
    if (!ruleset) continue;
    for (const PathRule& rule : policy.paths) add_rule(ruleset.get(), handled.paths, rule);
    return {std::move(ruleset), version.number};
  }
  return {};
}

}  // namespace pyro
