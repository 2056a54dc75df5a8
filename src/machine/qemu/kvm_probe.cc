// Whether KVM works.
#include "machine/qemu/kvm_probe.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/output_file.h"
#include "base/strict_json.h"
#include "machine/qemu/monitor_process.h"
#include "machine/qemu/qemu.h"
#include "store/layout.h"

namespace pyro {
namespace {

constexpr std::uint64_t kAddress = 0x100000;
constexpr std::uint32_t kEntryNote = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

/// 32-bit code: mov ecx, 0x3000000; loop: dec ecx; jnz loop; mov al, 42; out 0xf4, al; halt: hlt;
/// jmp halt. The loop takes some 20 ms, and more time than the probe has where KVM emulates
/// instructions, as it does without the processor's help (PVM): QEMU alone is far faster then.
constexpr std::array<std::uint8_t, 16> kCode = {
    0xb9, 0, 0, 0, 3, 0x49, 0x75, 0xfd, 0xb0, kStubNumber, 0xe6, kStubPort, 0xf4, 0xeb, 0xfd, 0x90};

/// Raised with every change to what a probe finds out.
constexpr int kProbeVersion = 2;

struct ElfNote {
  Elf64_Nhdr header{.n_namesz = 4, .n_descsz = 8, .n_type = kEntryNote};
  char name[4] = {'X', 'e', 'n', '\0'};
  std::uint64_t entry = 0;
};
static_assert(sizeof(ElfNote) == 24);

struct File {
  Elf64_Ehdr header{};
  Elf64_Phdr code_segment{};
  Elf64_Phdr note_segment{};
  ElfNote note;
  std::array<std::uint8_t, kCode.size()> code = kCode;
};

KvmReport broken(std::string reason) {
  return {.status = KvmStatus::broken, .reason = std::move(reason)};
}

/// With the machine type of other guests: /dev/kvm may run one guest and fail with another.
KvmReport run_guest(const KvmProbe& probe) {
  const Fd kernel = make_stub_kernel();
  const MonitorAnswer answer =
      ask_monitor(probe.monitor, qemu_probe_arguments(), {kernel.get()}, probe.timeout);
  if (!answer.end) return broken("/dev/kvm opens, but a guest that it runs never does anything");
  // The limit of processor time, by which ask_monitor() ends it.
  if (answer.end->signal == SIGKILL) {
    return broken("/dev/kvm opens, but its guests are slower than emulated ones");
  }
  // The exit code that isa-debug-exit makes of the number.
  if (answer.end->exit_code == kStubNumber * 2 + 1) return {};
  return broken("/dev/kvm opens, but runs no guest: " + answer.first_line);
}

/// Permissions may change at any time, so this result is not stored.
KvmReport open_device(const std::filesystem::path& path) {
  const Fd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (device) return {};
  const int error = errno;
  switch (error) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return {.status = KvmStatus::absent, .reason = "there is no /dev/kvm"};
    case EACCES:
    case EPERM:
      return {.status = KvmStatus::denied,
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

/// The result holds for this monitor in this version.
nlohmann::json identity_of(const std::filesystem::path& monitor) {
  struct stat status {};
  if (::stat(monitor.c_str(), &status) != 0) return nullptr;
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"changed_ns", status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec}};
}

std::optional<KvmReport> recall(const KvmProbe& probe) try {
  constexpr std::size_t kMaxRecord = 4096;
  const CacheLayout layout(probe.cache_dir);
  const Fd folder = layout.open(layout.host_dir());
  const std::string name = layout.kvm_record().filename().string();
  const auto text = read_small_file_at(folder.get(), name, kMaxRecord);
  const auto document = parse_strict_json_or_null(text.value_or(""));
  if (!document.is_object() || document.value("boot_id", "") != boot_id()) return std::nullopt;
  if (document.value("probe", 1) != kProbeVersion) return std::nullopt;
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
  return std::nullopt;  // wrong rights
}

}  // namespace

std::string stub_kernel() {
  File file;
  constexpr std::uint64_t kEntry = kAddress + offsetof(File, code);
  std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
  file.header.e_ident[EI_CLASS] = ELFCLASS64;
  file.header.e_ident[EI_DATA] = ELFDATA2LSB;
  file.header.e_ident[EI_VERSION] = EV_CURRENT;
  file.header.e_type = ET_EXEC;
  file.header.e_machine = EM_X86_64;
  file.header.e_version = EV_CURRENT;
  file.header.e_entry = kEntry;
  file.header.e_phoff = offsetof(File, code_segment);
  file.header.e_ehsize = sizeof(Elf64_Ehdr);
  file.header.e_phentsize = sizeof(Elf64_Phdr);
  file.header.e_phnum = 2;
  file.code_segment = {.p_type = PT_LOAD,
                       .p_flags = PF_R | PF_X,
                       .p_offset = 0,
                       .p_vaddr = kAddress,
                       .p_paddr = kAddress,
                       .p_filesz = sizeof file,
                       .p_memsz = sizeof file,
                       .p_align = 4096};
  file.note_segment = {.p_type = PT_NOTE,
                       .p_flags = PF_R,
                       .p_offset = offsetof(File, note),
                       .p_vaddr = kAddress + offsetof(File, note),
                       .p_paddr = kAddress + offsetof(File, note),
                       .p_filesz = sizeof(ElfNote),
                       .p_memsz = sizeof(ElfNote),
                       .p_align = 4};
  file.note.entry = kEntry;
  std::string bytes(sizeof file, '\0');
  std::memcpy(bytes.data(), &file, sizeof file);
  return bytes;
}

Fd make_stub_kernel() {
  constexpr const char* kKernelName = "a kernel";
  Fd file = make_memory_file(kKernelName);
  write_all(file.get(), stub_kernel(), kKernelName);
  return file;
}

// Failures are ignored: without the record a probe takes longer.
void remember_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor,
                  const KvmReport& report) try {
  std::error_code none;
  if (!std::filesystem::exists(cache_dir, none)) return;  // pull creates it
  const CacheLayout layout(cache_dir);
  const std::string text = nlohmann::json{{"probe", kProbeVersion},
                                          {"boot_id", boot_id()},
                                          {"monitor", identity_of(monitor)},
                                          {"usable", report.usable()},
                                          {"reason", report.reason}}
                               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                           '\n';
  const Fd host = layout.make(layout.host_dir());
  const Fd locks = layout.make(layout.locks_dir());
  const std::string lock = "kvm.lock";
  // The holder of the lock writes the same.
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
    return {.status = KvmStatus::untried, .reason = "there is no monitor to try it with"};
  }
  KvmReport report = run_guest(probe);
  if (has_cache) remember_kvm(probe.cache_dir, probe.monitor, report);
  return report;
}

KvmReport probe_kvm(const std::filesystem::path& cache_dir, const std::filesystem::path& monitor) {
  return probe_kvm(KvmProbe{.cache_dir = cache_dir, .monitor = monitor});
}

}  // namespace pyro
