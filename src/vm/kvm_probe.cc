// Whether /dev/kvm runs guests.
#include "vm/kvm_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file_lock.h"
#include "base/replace_file.h"
#include "base/strict_json.h"
#include "store/layout.h"
#include "vm/monitor_process.h"
#include "vm/qemu_arguments.h"
#include "vm/stub_kernel.h"

namespace pyro {
namespace {

KvmReport broken(std::string reason) {
  return {.trouble = KvmTrouble::broken, .reason = std::move(reason)};
}

/// On the machine that others run on: /dev/kvm may open, answer, run one guest and fail with the
/// next.
KvmReport run_guest(const KvmProbe& probe) {
  const Fd kernel = make_stub_kernel();
  const MonitorAnswer answer =
      ask_monitor(probe.monitor, qemu_probe_arguments(), {kernel.get()}, probe.patience);
  if (!answer.end) return broken("/dev/kvm opens, but a guest that it runs never does anything");
  // What the device for it makes of the number that the guest writes.
  if (answer.end->exit_code == kStubNumber * 2 + 1) return {};
  return broken("/dev/kvm opens, but runs no guest: " + answer.first_line);
}

/// Rights may be granted at any time, so what comes of opening it is not remembered.
KvmReport open_device(const std::filesystem::path& path) {
  const Fd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (device) return {};
  const int error = errno;
  switch (error) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return {.trouble = KvmTrouble::absent, .reason = "there is no /dev/kvm"};
    case EACCES:
    case EPERM:
      return {.trouble = KvmTrouble::denied,
              .reason = system_error("cannot open /dev/kvm", error).what()};
    default:
      return broken(system_error("cannot open /dev/kvm", error).what());
  }
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

/// Another monitor, or another version of it, may fare better.
nlohmann::json identity_of(const std::filesystem::path& monitor) {
  struct stat status {};
  if (::stat(monitor.c_str(), &status) != 0) return nullptr;
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"changed_ns", status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec}};
}

std::optional<KvmReport> recall(const KvmProbe& probe) try {
  constexpr std::size_t kLargest = 4096;
  const CacheLayout layout(probe.cache_dir);
  const Fd folder = layout.open(layout.host_dir());
  const std::string name = layout.kvm_record().filename().string();
  const auto text = read_small_file_at(folder.get(), name, kLargest);
  const auto document = parse_strict_json_or_null(text.value_or(""));
  if (!document.is_object() || document.value("boot_id", "") != boot_id()) return std::nullopt;
  if (document.value("monitor", nlohmann::json()) != identity_of(probe.monitor)) {
    return std::nullopt;
  }
  KvmReport report;
  if (!document.value("usable", false)) report = broken(document.value("reason", ""));
  report.remembered = true;
  return report;
} catch (const nlohmann::json::exception&) {
  return std::nullopt;  // not ours
} catch (const Error&) {
  return std::nullopt;  // others may have written it
}

}  // namespace

// A cache that cannot be written makes it slower, not wrong.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report) try {
  std::error_code none;
  if (!std::filesystem::exists(cache_dir, none)) return;  // it is made by a pull
  const CacheLayout layout(cache_dir);
  const std::string text = nlohmann::json{{"boot_id", boot_id()},
                                          {"monitor", identity_of(monitor)},
                                          {"usable", report.usable()},
                                          {"reason", report.reason}}
                               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                           '\n';
  const Fd host = layout.make(layout.host_dir());
  const Fd locks = layout.make(layout.locks_dir());
  const std::string lock = "kvm.lock";
  // Whoever has it writes the same.
  if (FileLock::try_acquire(locks.get(), lock, layout.locks_dir() / lock)) {
    replace_file(layout.kvm_record(), text, 0644);
  }
} catch (const Error&) {
}

KvmReport probe_kvm(const KvmProbe& probe) {
  if (KvmReport unopened = open_device(probe.device); !unopened.usable()) return unopened;
  const bool has_cache = !probe.cache_dir.empty();
  if (auto known = has_cache ? recall(probe) : std::nullopt) return *known;
  if (probe.monitor.empty() || ::access(probe.monitor.c_str(), X_OK) != 0) {
    return {.trouble = KvmTrouble::untried, .reason = "there is no monitor to try it with"};
  }
  KvmReport report = run_guest(probe);
  if (has_cache) remember_kvm(probe.cache_dir, probe.monitor, report);
  return report;
}

KvmReport probe_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor) {
  return probe_kvm(KvmProbe{.cache_dir = cache_dir, .monitor = monitor});
}

}  // namespace pyro
