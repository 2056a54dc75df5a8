// The checks of a host: platform, machine monitor, registries. check_cache.cc has those of the
// cache.
//
// Source: OCI distribution specification, "Determining Support", for registries.
#include "pyro/doctor.h"

#include <sys/utsname.h>

#include <charconv>
#include <compare>
#include <set>
#include <string_view>
#include <utility>

#include "base/reference.h"
#include "doctor/checks.h"
#include "machine/monitor.h"
#include "machine/network_backend.h"
#include "net/curl_client.h"
#include "oci/mirrors.h"
#include "pyro/error.h"
#include "store/base_kernel.h"
#include "store/layout.h"

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

constexpr const char* kInstall = "apt install qemu-system-x86";

/// Saving states requires 7.2 (machine/qemu/).
bool is_recent(const std::string& version) {
  constexpr std::string_view kBefore = "QEMU emulator version ";
  if (!version.starts_with(kBefore)) return false;
  const char* const end = version.data() + version.size();
  std::pair found(0, 0);
  const auto major = std::from_chars(version.data() + kBefore.size(), end, found.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return false;
  const auto minor = std::from_chars(major.ptr + 1, end, found.second);
  return minor.ec == std::errc() && found >= std::pair(7, 2);
}

std::string complaint_about(const std::filesystem::path& monitor, const std::string& version) {
  if (!version.starts_with("QEMU")) return monitor.string() + " does not say that it is QEMU";
  return is_recent(version) ? "" : version + " is older than 7.2";
}

bool check_monitor(const std::filesystem::path& monitor, Findings& findings) {
  std::string version;
  std::string complaint = "there is no qemu-system-x86_64";
  try {
    if (!monitor.empty())
      complaint = complaint_about(monitor, version = make_monitor(monitor)->version());
  } catch (const Error& error) {
    complaint = monitor.string() + " cannot be run: " + error.what();
  }
  const bool works = complaint.empty();
  findings.push_back({.name = "monitor",
                      .health = works ? Health::ok : Health::missing,
                      .message = works ? version + ", " + monitor.string() : complaint,
                      .remedy = works ? "" : kInstall});
  return works;
}

std::string kvm_remedy(const KvmReport& report, const std::filesystem::path& cache_dir) {
  switch (report.status) {
    case KvmStatus::usable:
      return "";
    case KvmStatus::absent:
      return "switch virtualization on in the firmware, or nested virtualization in the host of "
             "this machine; then: modprobe kvm";
    case KvmStatus::denied:
      return "add yourself to the group: adduser $USER kvm";
    case KvmStatus::untried:
      return kInstall;
    case KvmStatus::broken:
      break;
  }
  return "have the host of this machine fix nested virtualization; PYRO_KVM=off leaves it alone" +
         (report.remembered
              ? "; to have it tried again: rm " + CacheLayout(cache_dir).kvm_record().string()
              : "");
}

void check_kvm(const StoreOptions& options, const MachineOptions& machine, bool cache_is_fit,
               bool has_monitor, Findings& findings) {
  if (machine.kvm == KvmUse::never) {
    findings.push_back({.name = "kvm",
                        .health = Health::warning,
                        .message = "switched off by PYRO_KVM",
                        .remedy = "unset PYRO_KVM"});
  } else if (!has_monitor) {
    // A probe would blame KVM for the missing monitor, and remember that.
    findings.push_back({.name = "kvm",
                        .health = Health::warning,
                        .message = "there is no monitor to try it with"});
  } else {
    const KvmReport report = probe_kvm(cache_is_fit ? options.cache_dir : "", machine.monitor);
    findings.push_back(kvm_finding(report, options.cache_dir, machine.kvm == KvmUse::required));
  }
  if (findings.back().health != Health::warning) return;
  findings.push_back({.name = "isolation",
                      .health = Health::warning,
                      .message = "guests run under software emulation: slower, and by QEMU's own "
                                 "policy no security boundary",
                      .remedy = "do not run hostile code here without another boundary"});
}

Finding examine_network() {
  constexpr const char* kReach =
      "guests with a network also reach private networks and a cloud's "
      "metadata address";
  const std::filesystem::path passt = find_passt();
  if (!passt.empty()) {
    return {.name = "network", .health = Health::ok, .message = passt.string() + "; " + kReach};
  }
  return {.name = "network",
          .health = Health::absent,
          .message = std::string("there is no passt, which '--network user' needs; ") + kReach,
          .remedy = "apt install passt, or use '--network user+host'"};
}

/// The kernel of container images: of that which is asked about, or of any.
Finding examine_base(const StoreOptions& options, const DoctorOptions& wanted) {
  Finding finding{.name = "kernel", .health = Health::absent, .message = {}};
  const Environment* const asked =
      wanted.environment ? options.catalog.find(*wanted.environment) : nullptr;
  try {
    const Stores stores = Stores::as_they_are(options);
    const Base base = Bases(options, stores)
                          .choose(asked != nullptr ? *asked : Environment(), wanted.machine.base);
    const bool is_there = base.environment == nullptr || stores.find(*base.environment);
    if (is_there) finding.health = Health::ok;
    finding.message = "container images boot that of " + base.name() +
                      (is_there ? "" : ", which is not installed");
    if (!is_there) finding.remedy = "pyro env pull " + base.name();
  } catch (const NoKernel& error) {
    finding.message = "there is none for container images";
    finding.remedy = error.hint();
  } catch (const Error& error) {
    finding.health = Health::warning;
    const std::string& cause = error.causes().empty() ? error.message() : error.causes().back();
    finding.message = "container images have none: " + cause;
    finding.remedy = error.hint();
  }
  return finding;
}

constexpr std::size_t kMaxAnswer = 64 << 10;

struct Place {
  std::string name;  ///< The name of its finding.
  std::string host;
  bool insecure = false;
  bool is_mirror = false;

  friend auto operator<=>(const Place&, const Place&) = default;
};

void add_places(const Environment& environment, const std::vector<RegistryRule>& rules,
                std::set<Place>& places) {
  if (!environment.oci_registry) return;
  if (!environment.registry) {
    places.insert({"registry " + *environment.oci_registry, *environment.oci_registry});
    return;
  }
  for (const Endpoint& endpoint : endpoints_of(environment.registry->image, rules)) {
    const std::string& host = endpoint.image.registry();
    places.insert({(endpoint.is_mirror ? "mirror " : "registry ") + host, host, endpoint.insecure,
                   endpoint.is_mirror});
  }
}

HttpResponse ping(HttpClient& http, const Place& place, const std::string& scheme) {
  return get_small(http, {.url = scheme + "://" + place.host + "/v2/", .insecure = place.insecure},
                   kMaxAnswer);
}

/// Judges the answer to a ping. A demand to log in is a good answer. Pulls send no ping, so a
/// refused one is only a warning.
void judge(const HttpResponse& answer, Finding& finding) {
  constexpr int kUnauthorized = 401;
  constexpr int kServerError = 500;
  if (answer.ok() || answer.status == kUnauthorized) return;
  finding.message += " with status " + std::to_string(answer.status);
  finding.health = answer.status >= kServerError ? Health::missing : Health::warning;
  finding.remedy = answer.status >= kServerError
                       ? "try again later"
                       : "see whether it is a registry, or a proxy answers in its place";
}

void ask(HttpClient& http, const Place& place, Finding& finding) {
  HttpResponse answer;
  finding.message = "it answers";
  try {
    answer = ping(http, place, "https");
  } catch (const NotTlsError&) {
    const bool may_be_plain = place.insecure || is_loopback(split_host_and_port(place.host).host);
    if (!may_be_plain) throw;
    finding.message += " without TLS";
    answer = ping(http, place, "http");
  }
  judge(answer, finding);
  if (!place.insecure || finding.health != Health::ok) return;
  finding.health = Health::warning;
  finding.message += "; TLS verification is off for " + place.host;
}

Finding examine(HttpClient& http, const Place& place) {
  Finding finding{.name = place.name, .health = Health::ok, .message = {}};
  try {
    ask(http, place, finding);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    finding.message = error.what();
    // Pulls work without a mirror.
    finding.health = place.is_mirror ? Health::warning : Health::missing;
    finding.remedy = "check this machine's network, DNS and proxy, --ca-file and SSL_CERT_FILE";
  }
  return finding;
}

Finding refused(const Error& error) {
  return {.name = "registries",
          .health = Health::missing,
          .message = error.what(),
          .remedy = error.hint()};
}

}  // namespace

Finding kvm_finding(const KvmReport& report, const std::filesystem::path& cache_dir,
                    bool required) {
  Finding finding{.name = "kvm",
                  .message = report.usable() ? "it runs guests" : report.reason,
                  .remedy = kvm_remedy(report, cache_dir)};
  if (report.usable()) return finding;
  finding.health = required ? Health::missing : Health::warning;
  if (required) finding.message = "required, but " + finding.message;
  return finding;
}

void check_machines(const StoreOptions& options, const MachineOptions& machine, bool cache_is_fit,
                    Findings& findings) try {
  const bool has_monitor = check_monitor(machine.monitor, findings);
  check_kvm(options, machine, cache_is_fit, has_monitor, findings);
} catch (const Error& error) {
  findings.push_back(
      {.name = "monitor", .health = Health::missing, .message = error.what(), .remedy = kInstall});
}

void check_registries(const StoreOptions& options, const DoctorOptions& wanted,
                      Findings& findings) {
  std::set<Place> places;
  try {
    const auto rules = load_registries(options.network.registries_files);
    for (const Environment& environment : options.catalog.environments()) {
      if (wanted.environment && environment.name != *wanted.environment) continue;
      add_places(environment, rules, places);
    }
    CurlClient http(client_options(options.network, wanted.stop, wanted.progress));
    for (const Place& place : places) {
      const RunningOperation operation(wanted.progress,
                                       {.name = "checking", .subject = place.name});
      findings.push_back(examine(http, place));
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    findings.push_back(refused(error));
  }
}

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::absent:
      return "absent";
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
  {
    const RunningOperation operation(options.progress,
                                     {.name = "checking", .subject = "the machine monitor"});
    check_machines(store.options(), options.machine, cache_is_fit, findings);
  }
  findings.push_back(examine_network());
  findings.push_back(examine_base(store.options(), options));
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
