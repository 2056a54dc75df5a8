// How a policy comes into force.
#include "sandbox/policy.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

namespace pyro {
namespace {

// From Documentation/userspace-api/landlock.rst.
constexpr std::uint8_t kWithTruncate = 3;
constexpr std::uint8_t kWithTcp = 4;
constexpr std::uint8_t kWithScopes = 6;

// The bounding set needs a capability, and goes first. Who lacks that one gains nothing by exec
// either: no_new_privs.
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
  // Of this process. Where it shares its memory with the one that made it, that one has its own.
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
