// QEMU's command line for a machine.
#include "vm/qemu_arguments.h"

#include <fmt/format.h>

#include "guest/protocol.h"
#include "vm/monitor_process.h"
#include "vm/stub_kernel.h"

namespace pyro {
namespace {

/// All that can be emulated, but for what is slow there. A fast `rep movsb` is what erms and fsrm
/// promise, so that the guest's kernel copies with it; emulation takes it byte by byte. Without
/// them what a guest writes arrives twice as fast.
constexpr const char* kEmulatedProcessor = "max,la57=off,erms=off,fsrm=off";

/// A panic ends the machine at once. The kernel's tests of its ciphers are a tenth of a boot.
constexpr const char* kKernelWords =
    "console=ttyS0 quiet panic=-1 cryptomgr.notests random.trust_cpu=on";

/// Under emulation all that the kernel does besides has to be translated first, in each machine
/// anew: it leaves the lock prefixes in its code, takes the timer on trust, keeps no statistics of
/// pressure, and asks only those security modules that need no policy.
constexpr const char* kEmulatedKernelWords =
    " noreplace-smp no_timer_check psi=0 lsm=landlock,yama";

int number_of(QemuDescriptor descriptor) {
  return kFirstMonitorDescriptor + static_cast<int>(descriptor);
}

std::string path_of(QemuDescriptor descriptor) {
  return fmt::format("/proc/self/fd/{}", number_of(descriptor));
}

/// Of devices: microvm has no PCI.
const char* bus_of(const MachineShape& shape) {
  return shape.type == MachineType::microvm ? "device" : "pci";
}

class Builder {
 public:
  Builder(const MachineShape& shape, QemuStart start) : shape_(shape), start_(start) {}

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

  // No default devices, no configuration of the user's, and no call that extends QEMU's own rights.
  void add_surroundings() {
    words_.insert(words_.end(), {"-nodefaults", "-no-user-config", "-no-reboot"});
    add("-display", "none");
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    add("-name", "pyro");
  }

  void add_machine() {
    const bool in_file = start_ != QemuStart::boot;
    std::string machine = shape_.type == MachineType::microvm
                              ? "microvm,rtc=on,pic=off,pit=off"
                              : "q35,hpet=off,smm=off,usb=off,sata=off,smbus=off,vmport=off";
    if (in_file) machine += ",memory-backend=memory";
    add("-machine", std::move(machine));
    if (shape_.accelerator == Accelerator::kvm) {
      add("-accel", "kvm");
      add("-cpu", "host");
    } else {
      add("-accel", "tcg,tb-size=512");
      add("-cpu", kEmulatedProcessor);
    }
    add("-smp", std::to_string(shape_.cpus));
  }

  void add_memory() {
    add("-m", std::to_string(shape_.memory_mib));
    if (start_ == QemuStart::boot) return;
    add("-object", fmt::format("memory-backend-file,id=memory,size={}M,mem-path={},share={}",
                               shape_.memory_mib, path_of(QemuDescriptor::memory),
                               start_ == QemuStart::resume ? "off" : "on"));
  }

  void add_kernel() {
    add("-kernel", path_of(QemuDescriptor::kernel));
    if (start_ != QemuStart::resume) add("-initrd", path_of(QemuDescriptor::initramfs));
    std::string words = kKernelWords;
    if (shape_.accelerator == Accelerator::tcg) words += kEmulatedKernelWords;
    add("-append", std::move(words));
  }

  void add_disk() {
    add("-add-fd", fmt::format("fd={},set=1", number_of(QemuDescriptor::rootfs)));
    add("-blockdev",
        "driver=raw,node-name=rootfs,read-only=on,file.driver=file,file.filename=/dev/fdset/1,"
        "file.locking=off");
    add("-device", fmt::format("virtio-blk-{},drive=rootfs", bus_of(shape_)));
  }

  void add_channel() {
    add("-chardev", fmt::format("socket,id=channel,fd={}", number_of(QemuDescriptor::channel)));
    add("-device", fmt::format("virtio-serial-{},max_ports=2", bus_of(shape_)));
    add("-device", fmt::format("virtserialport,chardev=channel,name={}", guest::kPortName));
  }

  void add_console() {
    add("-chardev", fmt::format("socket,id=console,fd={}", number_of(QemuDescriptor::console)));
    add("-serial", "chardev:console");
  }

  void add_network() {
    if (shape_.network == GuestNetwork::none) return;
    add("-netdev", "user,id=network");
    const std::string rom = shape_.type == MachineType::microvm ? "" : ",romfile=";
    add("-device", fmt::format("virtio-net-{},netdev=network{}", bus_of(shape_), rom));
  }

  void add_control() {
    if (start_ == QemuStart::boot) return;
    add("-chardev", fmt::format("socket,id=control,fd={}", number_of(QemuDescriptor::control)));
    add("-mon", "chardev=control,mode=control");
    if (start_ == QemuStart::resume) add("-incoming", "defer");
  }

  const MachineShape& shape_;
  const QemuStart start_;
  std::vector<std::string> words_;
};

}  // namespace

std::vector<std::string> qemu_arguments(const MachineShape& shape, QemuStart start) {
  return Builder(shape, start).build();
}

std::vector<std::string> qemu_probe_arguments() {
  const MachineShape shape{
      .accelerator = Accelerator::kvm, .type = MachineType::microvm, .memory_mib = 64};
  return Builder(shape, QemuStart::boot).build_probe();
}

// The memory is mapped, not read: x-ignore-shared leaves it out of the stream of the state.
std::string qemu_resume_commands() {
  return fmt::format(R"({{"execute":"qmp_capabilities"}})"
                     R"({{"execute":"migrate-set-capabilities","arguments":{{"capabilities":)"
                     R"([{{"capability":"x-ignore-shared","state":true}}]}}}})"
                     R"({{"execute":"migrate-incoming","arguments":{{"uri":"fd:{}"}}}})",
                     number_of(QemuDescriptor::devices));
}

}  // namespace pyro
