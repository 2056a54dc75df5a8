// Mounts for tests that need another or a read-only file system.
#include "scenarios/private_mount.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/file_descriptor.h"

namespace pyro::testing {
namespace {

// Once is enough: the first namespace is as private as a second would be.
bool enter_namespace() {
  static const bool entered = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return entered;
}

struct LoopDevice {
  std::filesystem::path path;
  FileDescriptor held;  // the kernel frees the device with the last user
                        // Another process may take the free port.
                        // Another process may take the free number first.
};

LoopDevice attach_once(int file) {
  const FileDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int number = control ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
  if (number < 0) return {};
  const std::string path = "/dev/loop" + std::to_string(number);
  FileDescriptor device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  loop_config config{};
  config.fd = static_cast<__u32>(file);
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (!device || ::ioctl(device.get(), LOOP_CONFIGURE, &config) != 0) return {};
  return {path, std::move(device)};
}

LoopDevice attach(const std::filesystem::path& file) {
  const FileDescriptor image(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!image) return {};
  // Another process may take the free port.
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (LoopDevice device = attach_once(image.get()); device.held) return device;
  }
  return {};
}

// btrfs remembers what it saw on a device, and refuses an older state of it, as a copy is.
void forget_btrfs(const std::filesystem::path& device) {
  const FileDescriptor control(::open("/dev/btrfs-control", O_RDWR | O_CLOEXEC));
  if (!control) return;
  btrfs_ioctl_vol_args arguments{};
  device.string().copy(arguments.name, sizeof arguments.name - 1);
  ::ioctl(control.get(), BTRFS_IOC_FORGET_DEV, &arguments);
}

}  // namespace

std::unique_ptr<PrivateMount> PrivateMount::image(const std::filesystem::path& file,
                                                  const std::filesystem::path& directory,
                                                  const std::string& type) {
  if (!enter_namespace()) return nullptr;
  std::filesystem::create_directories(directory);
  const LoopDevice device = attach(file);
  if (!device.held) return nullptr;
  if (::mount(device.path.c_str(), directory.c_str(), type.c_str(), 0, nullptr) != 0) {
    return nullptr;
  }
  std::unique_ptr<PrivateMount> mounted(new PrivateMount(directory));
  mounted->device_ = device.path;
  return mounted;
}

std::unique_ptr<PrivateMount> PrivateMount::tmpfs(const std::filesystem::path& directory,
                                                  const std::string& options) {
  if (!enter_namespace()) return nullptr;
  std::filesystem::create_directories(directory);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
  return std::unique_ptr<PrivateMount>(new PrivateMount(directory));
}

std::unique_ptr<PrivateMount> PrivateMount::read_only(const std::filesystem::path& directory) {
  if (!enter_namespace()) return nullptr;
  const char* const path = directory.c_str();
  if (::mount(path, path, nullptr, MS_BIND, nullptr) != 0) return nullptr;
  std::unique_ptr<PrivateMount> mounted(new PrivateMount(directory));
  if (::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    return nullptr;
  }
  return mounted;
}

PrivateMount::~PrivateMount() {
  ::umount2(directory_.c_str(), MNT_DETACH);
  if (!device_.empty()) forget_btrfs(device_);
}

}  // namespace pyro::testing
