// What guests are run with.
#include <charconv>
#include <string_view>
#include <utility>

#include "doctor/checks.h"
#include "pyro/error.h"
#include "store/layout.h"
#include "vm/qemu.h"

namespace pyro {
namespace {

constexpr const char* kInstall = "apt install qemu-system-x86";

/// What saving states takes (vm/qemu.h): 7.2.
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
    if (!monitor.empty()) complaint = complaint_about(monitor, version = qemu_version(monitor));
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
    // Whatever else came of it would be the monitor's fault, and be remembered as KVM's.
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

}  // namespace pyro
