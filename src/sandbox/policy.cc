// How a policy comes into force: capabilities, Landlock, limits and seccomp.
#include "sandbox/policy.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <tuple>

namespace pyro {
namespace {

// From Documentation/userspace-api/landlock.rst.
constexpr std::uint8_t kWithTruncate = 3;
constexpr std::uint8_t kWithTcp = 4;
constexpr std::uint8_t kWithScopes = 6;

// Dropping from the bounding set needs a capability, so it comes first. A process without it gains
// nothing by exec either: no_new_privs.
bool drop_capabilities() noexcept {
  for (unsigned long number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool install(const std::vector<sock_filter>& filter, unsigned flags) noexcept {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
}

/// struct landlock_ruleset_attr as of the latest version known here; the kernel's headers may be
/// older than the kernel.
struct Handled {
  std::uint64_t paths;
  std::uint64_t network;
  std::uint64_t scopes;
};

/// The accesses that a version of the interface can forbid.
struct Version {
  std::uint8_t number;
  std::size_t size;  // of the structure
  Handled handled;
};

constexpr std::uint64_t lowest_bits(unsigned count) {
  return (std::uint64_t{1} << count) - 1;
}

// From Documentation/userspace-api/landlock.rst. Rights are numbered in the order of their
// versions.
constexpr std::array kVersions = {
    Version{6, 24, {lowest_bits(16), lowest_bits(2), lowest_bits(2)}},  // abstract sockets, signals
    Version{5, 16, {lowest_bits(16), lowest_bits(2), 0}},               // ioctl on devices
    Version{4, 16, {lowest_bits(15), lowest_bits(2), 0}},               // bind and connect by TCP
    Version{3, 8, {lowest_bits(15), 0, 0}},                             // truncate
    Version{2, 8, {lowest_bits(14), 0, 0}},  // rename between directories
    Version{1, 8, {lowest_bits(13), 0, 0}},
};

constexpr std::uint64_t kIoctl = std::uint64_t{1} << 15;
/// The rights used here that a file other than a directory can have.
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

// Without a rule, access stays forbidden. Files in memory cannot have one and need none, as no path
// leads to them.
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

/// Landlock's rules, and the version of the interface that they need; empty where the kernel has
/// none.
std::pair<Fd, std::uint8_t> make_ruleset(const Policy& policy) {
  const long newest =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  for (const Version& version : kVersions) {
    // Some kernels claim a version without all of it.
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

}  // namespace

std::string gaps_in(const Confinement& confinement) {
  std::string gaps;
  const auto check = [&](bool in_force, const char* name) {
    if (!in_force) gaps += (gaps.empty() ? "" : ", ") + std::string(name);
  };
  check(confinement.no_new_privileges, "no_new_privs");
  if (confinement.landlock == 0) {
    check(false, "Landlock");
  } else {
    check(confinement.landlock >= kWithTruncate, "Landlock for truncating files");
    check(confinement.landlock >= kWithTcp, "Landlock for TCP");
    check(confinement.landlock >= kWithScopes, "Landlock for signals and abstract sockets");
  }
  check(confinement.seccomp, "seccomp");
  return gaps;
}

PreparedPolicy::PreparedPolicy(const Policy& policy) : limits_(policy.limits) {
  std::tie(ruleset_, confinement_.landlock) = make_ruleset(policy);
  if (policy.calls && can_filter()) filter_ = make_filter(*policy.calls);
  confinement_.no_new_privileges = true;  // Linux 3.5
  confinement_.seccomp = !filter_.empty();
}

bool PreparedPolicy::apply() const noexcept {
  if (!drop_capabilities() || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  if (ruleset_ && ::syscall(SYS_landlock_restrict_self, ruleset_.get(), 0) != 0) return false;
  // A vfork() child shares the parent's memory but not its descriptors: the parent keeps its own.
  if (ruleset_) ::close(ruleset_.get());
  return lower_limits(limits_) && (filter_.empty() || install(filter_, 0));
}

bool lower_limits(std::span<const ResourceLimit> limits) noexcept {
  return std::ranges::all_of(limits, [](const ResourceLimit& limit) {
    const auto resource = static_cast<__rlimit_resource>(limit.resource);
    rlimit both{};
    if (::getrlimit(resource, &both) != 0) return false;
    both.rlim_max = std::min<rlim_t>(both.rlim_max, limit.most);
    both.rlim_cur = std::min(both.rlim_cur, both.rlim_max);
    return ::setrlimit(resource, &both) == 0;
  });
}

bool filter_all_threads(const SystemCalls& calls) {
  return install(make_filter(calls), SECCOMP_FILTER_FLAG_TSYNC);
}

}  // namespace pyro
