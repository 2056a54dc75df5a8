// Whether /dev/kvm runs guests.
//
// Source: Documentation/virt/kvm/api.rst of Linux.
#include "vm/kvm_probe.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/process_handle.h"
#include "store/layout.h"

namespace pyro {
namespace {

constexpr const char* kDevice = "/dev/kvm";
constexpr std::size_t kPage = 4096;
constexpr int kPatience = 1000;  // ms
constexpr std::uint16_t kPort = 0x10;
constexpr std::uint8_t kAnswer = 42;

enum Finding : int { kRuns = 0, kNoMachine = 10, kNoRun = 11, kWrongAnswer = 12 };

/// mov al, 42; out 0x10, al; hlt: in real mode, at address 0.
constexpr std::array<std::uint8_t, 5> kProgram = {0xb0, kAnswer, 0xe6, kPort, 0xf4};

// In the child: no destructors, the process ends.
Finding try_guest(int kvm) {
  const int machine = ::ioctl(kvm, KVM_CREATE_VM, 0);
  if (machine < 0) return kNoMachine;
  void* const memory =
      ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  std::memcpy(memory, kProgram.data(), kProgram.size());
  kvm_userspace_memory_region region{};
  region.memory_size = kPage;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
  const int processor = ::ioctl(machine, KVM_CREATE_VCPU, 0);
  const int size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (::ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) != 0 || processor < 0 || size <= 0) {
    return kNoMachine;
  }
  auto* const run = static_cast<kvm_run*>(::mmap(nullptr, static_cast<std::size_t>(size),
                                                 PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0));
  kvm_sregs segments{};
  if (run == MAP_FAILED || ::ioctl(processor, KVM_GET_SREGS, &segments) != 0) return kNoMachine;
  segments.cs.base = 0;
  segments.cs.selector = 0;
  kvm_regs registers{};
  registers.rflags = 2;
  if (::ioctl(processor, KVM_SET_SREGS, &segments) != 0 ||
      ::ioctl(processor, KVM_SET_REGS, &registers) != 0 ||
      ::ioctl(processor, KVM_RUN, 0) != 0) {
    return kNoRun;
  }
  const auto* const data = reinterpret_cast<const std::uint8_t*>(run) + run->io.data_offset;
  const bool answered =
      run->exit_reason == KVM_EXIT_IO && run->io.port == kPort && *data == kAnswer;
  return answered ? kRuns : kWrongAnswer;
}

std::string reason_for(const ProcessEnd& end) {
  switch (end.exit_code) {
    case kNoMachine:
      return "it makes no machine";
    case kNoRun:
      return "it does not run a guest";
    default:
      return "a guest that it ran did something else";
  }
}

std::string boot_id() {
  const auto id = read_small_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64);
  return id.value_or("").substr(0, 36);
}

constexpr const char* kRecord = "kvm.json";

std::optional<KvmReport> recall(const std::filesystem::path& directory) {
  const auto text = read_small_file_at(AT_FDCWD, (directory / kRecord).string(), 4096);
  const auto document = nlohmann::json::parse(text.value_or(""), nullptr, false);
  if (!document.is_object() || document.value("boot_id", "") != boot_id()) return std::nullopt;
  return KvmReport{document.value("usable", false), document.value("reason", "")};
}

// A cache that cannot be written makes it slower, not wrong.
void remember(const std::filesystem::path& directory, const KvmReport& report) try {
  const Fd folder = make_and_open_directory(directory);
  const std::string text =
      nlohmann::json{{"boot_id", boot_id()}, {"usable", report.usable}, {"reason", report.reason}}
          .dump(2) +
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

}  // namespace

KvmReport run_kvm_guest() {
  const Fd kvm(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (!kvm) {
    return {false, errno == ENOENT ? "there is no /dev/kvm"
                                   : system_error("cannot open /dev/kvm", errno).what()};
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(try_guest(kvm.get()));
  }
  if (child < 0) return {false, system_error("cannot start a process", errno).what()};
  ProcessHandle process(child, "a probe of KVM");
  pollfd ended{process.descriptor(), POLLIN, 0};
  if (::poll(&ended, 1, kPatience) != 1) {
    return {false, "/dev/kvm opens, but a guest that it runs never does anything"};
  }
  const ProcessEnd end = process.wait();
  if (end.exit_code == kRuns) return {true, {}};
  return {false, "/dev/kvm opens, but " + reason_for(end)};
}

KvmReport probe_kvm(const std::filesystem::path& cache_dir) {
  // Rights may be granted at any time, so not being able to open it is not remembered.
  const Fd device(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (!device) return run_kvm_guest();
  const auto directory = CacheLayout(cache_dir).host_dir();
  if (auto known = recall(directory)) return *known;
  const KvmReport report = run_kvm_guest();
  remember(directory, report);
  return report;
}

}  // namespace pyro
