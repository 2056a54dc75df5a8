// Whether a host can do the job.
#include "pyro/doctor.h"

#include <sys/utsname.h>

#include "doctor/checks.h"

namespace pyro {
namespace {

void check_platform(Findings& findings) {
  utsname names{};
  ::uname(&names);
  const std::string platform = std::string(names.sysname) + ' ' + names.machine;
  const bool supported = platform == "Linux x86_64";
  findings.push_back({.name = "platform",
                      .health = supported ? Health::ok : Health::missing,
                      .message = platform + ", kernel " + names.release,
                      .remedy = supported ? "" : "environments are for Linux on x86_64"});
}

}  // namespace

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::missing:
      return "missing";
  }
  return "missing";
}

std::vector<Finding> examine_host(const EnvironmentStore& store, const DoctorOptions& options) {
  Findings findings;
  check_platform(findings);
  const bool cache_is_fit = check_cache(store.options(), findings);
  check_machines(store.options(), options.machine, cache_is_fit, findings);
  if (store.options().network.offline) {
    findings.push_back({.name = "network",
                        .health = Health::warning,
                        .message = "offline, as asked: no host is asked for anything",
                        .remedy = "leave --offline away, and PYRO_OFFLINE unset, to pull"});
  } else if (options.check_registries) {
    check_registries(store.options(), options, findings);
  }
  return findings;
}

}  // namespace pyro
