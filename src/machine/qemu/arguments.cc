// QEMU's command line for a machine.
#include <fmt/format.h>

#include "guest/protocol.h"
#include "machine/network_backend.h"
#include "machine/qemu/kvm_probe.h"
#include "machine/qemu/monitor_process.h"
#include "machine/qemu/qemu.h"

namespace pyro {
namespace {

/// Everything but features that are slow under emulation. erms and fsrm promise a fast `rep movsb`,
/// which emulation executes byte by byte: without them, output of the guest is twice as fast.
constexpr const char* kEmulatedProcessor = "max,la57=off,erms=off,fsrm=off";

/// A panic ends the machine at once. The self-tests of ciphers take a tenth of a boot.
constexpr const char* kKernelWords =
    "console=ttyS0 quiet panic=-1 cryptomgr.notests random.trust_cpu=on";

/// Under emulation each machine has to translate whatever the kernel executes. So it does not patch
/// lock prefixes, does not check the timer, keeps no pressure statistics, and has only security
/// modules without a policy.
constexpr const char* kEmulatedKernelWords =
    " noreplace-smp no_timer_check psi=0 lsm=landlock,yama";

int number_of(QemuDescriptor descriptor) {
  return kFirstMonitorDescriptor + static_cast<int>(descriptor);
}

std::string path_of(QemuDescriptor descriptor) {
  return fmt::format("/proc/self/fd/{}", number_of(descriptor));
}

/// The suffix of device names: microvm has no PCI.
const char* bus_of(const MachineConfig& config) {
  return config.type == MachineType::microvm ? "device" : "pci";
}

/// QEMU takes a comma for the end of the value.
std::string with_commas_doubled(std::string_view text) {
  std::string result;
  for (const char c : text) result.append(c == ',' ? 2 : 1, c);
  return result;
}

class Builder {
 public:
  Builder(const MachineConfig& config, QemuStart start, const MachineFiles& files)
      : config_(config), start_(start), files_(files) {}

  std::vector<std::string> build() && {
    add_surroundings();
    add_machine();
    add_memory();
    add_kernel();
    add_disk();
    add_channel();
    add_console();
    add_network();
    add_control();
    return std::move(words_);
  }

  std::vector<std::string> build_probe() && {
    add_surroundings();
    add_machine();
    add_memory();
    add("-kernel", path_of(QemuDescriptor{}));
    add("-device", fmt::format("isa-debug-exit,iobase={:#x},iosize=4", kStubPort));
    return std::move(words_);
  }

 private:
  void add(const char* option, std::string value) {
    words_.emplace_back(option);
    words_.push_back(std::move(value));
  }

  // No default devices, no configuration files, no system calls that extend the rights of QEMU.
  void add_surroundings() {
    words_.insert(words_.end(), {"-nodefaults", "-no-user-config", "-no-reboot"});
    add("-display", "none");
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    add("-name", with_commas_doubled(files_.label));
  }

  void add_machine() {
    const bool in_file = start_ != QemuStart::boot;
    std::string machine = config_.type == MachineType::microvm
                              ? "microvm,rtc=on,pic=off,pit=off"
                              : "q35,hpet=off,smm=off,usb=off,sata=off,smbus=off,vmport=off";
    if (in_file) machine += ",memory-backend=memory";
    add("-machine", std::move(machine));
    if (config_.accelerator == Accelerator::kvm) {
      add("-accel", "kvm");
      add("-cpu", "host");
    } else {
      add("-accel", "tcg,tb-size=512");
      add("-cpu", kEmulatedProcessor);
    }
    add("-smp", std::to_string(config_.cpus));
  }

  void add_memory() {
    add("-m", std::to_string(config_.memory_mib));
    if (start_ == QemuStart::boot) return;
    add("-object", fmt::format("memory-backend-file,id=memory,size={}M,mem-path={},share={}",
                               config_.memory_mib, path_of(QemuDescriptor::memory),
                               start_ == QemuStart::resume ? "off" : "on"));
  }

  void add_kernel() {
    add("-kernel", path_of(QemuDescriptor::kernel));
    if (!resumes()) add("-initrd", path_of(QemuDescriptor::initramfs));
    std::string words = kKernelWords;
    if (config_.accelerator == Accelerator::tcg) words += kEmulatedKernelWords;
    add("-append", std::move(words));
  }

  void add_disk() {
    add("-add-fd", fmt::format("fd={},set=1", number_of(QemuDescriptor::rootfs)));
    add("-blockdev",
        "driver=raw,node-name=rootfs,read-only=on,file.driver=file,file.filename=/dev/fdset/1,"
        "file.locking=off");
    add("-device",
        fmt::format("virtio-blk-{},drive=rootfs,serial={}", bus_of(config_), guest::kRootSerial));
    if (config_.disk_mib != 0) add_scratch_disk();
  }

  // If nothing of it is kept, nothing has to be durable. A full disk of the host is an error in the
  // guest: otherwise the machine would stand still.
  void add_scratch_disk() {
    add("-add-fd", fmt::format("fd={},set=2", number_of(QemuDescriptor::scratch)));
    add("-blockdev",
        fmt::format("driver=raw,node-name=scratch,discard=unmap,cache.no-flush={},file.driver=file,"
                    "file.filename=/dev/fdset/2,file.locking=off,file.discard=unmap",
                    files_.keeps_scratch ? "off" : "on"));
    add("-device", fmt::format("virtio-blk-{},drive=scratch,serial={},werror=report,rerror=report",
                               bus_of(config_), guest::kScratchSerial));
  }

  void add_channel() {
    add("-chardev", fmt::format("socket,id=channel,fd={}", number_of(QemuDescriptor::channel)));
    add("-device", fmt::format("virtio-serial-{},max_ports=2", bus_of(config_)));
    add("-device", fmt::format("virtserialport,chardev=channel,name={}", guest::kPortName));
  }

  void add_console() {
    add("-chardev", fmt::format("socket,id=console,fd={}", number_of(QemuDescriptor::console)));
    add("-serial", "chardev:console");
  }

  void add_network() {
    if (config_.network == GuestNetwork::none) return;
    add("-netdev", config_.network == GuestNetwork::user
                       ? fmt::format("stream,id=network,server=off,addr.type=fd,addr.str={}",
                                     number_of(QemuDescriptor::network))
                       : "user,id=network");
    const std::string rom = config_.type == MachineType::microvm ? "" : ",romfile=";
    add("-device",
        fmt::format("virtio-net-{},netdev=network,mac={}{}", bus_of(config_), kGuestMac, rom));
  }

  void add_control() {
    if (start_ == QemuStart::boot) return;
    add("-chardev", fmt::format("socket,id=control,fd={}", number_of(QemuDescriptor::control)));
    add("-mon", "chardev=control,mode=control");
    if (resumes()) add("-incoming", "defer");
  }

  [[nodiscard]] bool resumes() const {
    return start_ == QemuStart::resume || start_ == QemuStart::resume_to_save;
  }

  const MachineConfig& config_;
  const QemuStart start_;
  const MachineFiles& files_;
  std::vector<std::string> words_;
};

}  // namespace

std::vector<std::string> qemu_arguments(const MachineConfig& config, QemuStart start,
                                        const MachineFiles& files) {
  return Builder(config, start, files).build();
}

std::vector<std::string> qemu_probe_arguments() {
  const MachineConfig config{
      .accelerator = Accelerator::kvm, .type = MachineType::microvm, .memory_mib = 64};
  const MachineFiles files;
  return Builder(config, QemuStart::boot, files).build_probe();
}

// x-ignore-shared leaves the memory, which is mapped, out of the stream.
std::string qemu_resume_commands() {
  return fmt::format(R"({{"execute":"qmp_capabilities"}})"
                     R"({{"execute":"migrate-set-capabilities","arguments":{{"capabilities":)"
                     R"([{{"capability":"x-ignore-shared","state":true}}]}}}})"
                     R"({{"execute":"migrate-incoming","arguments":{{"uri":"fd:{}"}}}})",
                     number_of(QemuDescriptor::devices));
}

}  // namespace pyro
