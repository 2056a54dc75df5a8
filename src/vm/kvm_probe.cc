// Whether /dev/kvm runs guests.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "pyro/machine.h"
#include "store/layout.h"
#include "vm/monitor_process.h"
#include "vm/qemu_arguments.h"
#include "vm/stub_kernel.h"

namespace pyro {
namespace {

constexpr const char* kDevice = "/dev/kvm";
constexpr const char* kRecord = "kvm.json";
constexpr std::chrono::seconds kPatience{2};  // it takes a twentieth of one

Fd make_kernel() {
  constexpr const char* kSubject = "a kernel";
  Fd file = make_memory_file(kSubject);
  write_all(file.get(), stub_kernel(), kSubject);
  return file;
}

/// With the very options that machines are run with: /dev/kvm may open, answer, run one guest and
/// fail with the next.
KvmReport run_guest(const std::filesystem::path& monitor) {
  const Fd kernel = make_kernel();
  const MonitorAnswer answer =
      ask_monitor(monitor, qemu_probe_arguments(), {kernel.get()}, kPatience);
  if (!answer.end) return {false, "/dev/kvm opens, but a guest that it runs never does anything"};
  // What the device for it makes of the number that the guest writes.
  if (answer.end->exit_code == kStubNumber * 2 + 1) return {true, {}};
  return {false, "/dev/kvm opens, but runs no guest: " + answer.first_line};
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
  return {{"device", status.st_dev}, {"inode", status.st_ino}, {"changed", status.st_ctim.tv_sec}};
}

std::optional<KvmReport> recall(const std::filesystem::path& directory,
                                const std::filesystem::path& monitor) try {
  const auto text = read_small_file_at(AT_FDCWD, (directory / kRecord).string(), 4096);
  const auto document = nlohmann::json::parse(text.value_or(""), nullptr, false);
  if (!document.is_object() || document.value("boot_id", "") != boot_id()) return std::nullopt;
  if (document.value("monitor", nlohmann::json()) != identity_of(monitor)) return std::nullopt;
  return KvmReport{document.value("usable", false), document.value("reason", "")};
} catch (const nlohmann::json::exception&) {
  return std::nullopt;  // not ours
}

}  // namespace

// A cache that cannot be written makes it slower, not wrong.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report) try {
  if (!std::filesystem::exists(cache_dir)) return;  // it is made by a pull
  const auto directory = CacheLayout(cache_dir).host_dir();
  const Fd folder = make_and_open_directory(directory);
  const std::string text = nlohmann::json{{"boot_id", boot_id()},
                                          {"monitor", identity_of(monitor)},
                                          {"usable", report.usable},
                                          {"reason", report.reason}}
                               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                           '\n';
  const std::string name = std::string(kRecord) + '.' + std::to_string(::getpid());
  {
    const Fd file = open_at(folder.get(), name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644,
                            directory / name);
    write_all(file.get(), text, directory / name);
  }
  ::renameat(folder.get(), name.c_str(), folder.get(), kRecord);
} catch (const Error&) {
}

KvmReport probe_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor) {
  // Rights may be granted at any time, so not being able to open it is not remembered.
  const Fd device(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (!device) {
    return {false, errno == ENOENT ? "there is no /dev/kvm"
                                   : system_error("cannot open /dev/kvm", errno).what()};
  }
  const bool has_cache = !cache_dir.empty();
  if (auto known = has_cache ? recall(CacheLayout(cache_dir).host_dir(), monitor) : std::nullopt) {
    return *known;
  }
  if (monitor.empty() || ::access(monitor.c_str(), X_OK) != 0) {
    return {false, "there is no monitor to try it with"};
  }
  KvmReport report = run_guest(monitor);
  if (has_cache) remember_kvm(cache_dir, monitor, report);
  return report;
}

}  // namespace pyro
