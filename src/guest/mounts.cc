// File systems that are needed: the kernel's own, and the environment's under a layer that is
// thrown away.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "guest/machine.h"

namespace pyro::guest {
namespace {

constexpr const char* kDisk = "/dev/vda";

void require(int error, const char* what) {
  if (error != 0) give_up(what, error);
}

void mount_disk() {
  if (!wait_for([] { return ::access(kDisk, F_OK) == 0; })) {
    give_up("no virtio disk appeared: neither the kernel nor its initrd.img has a driver");
  }
  int error = mount_at(kDisk, "/lower", "ext4", MS_RDONLY, "");
  // It was not unmounted when it was copied; its journal cannot be replayed on a read-only disk.
  if (error == EROFS || error == EACCES) {
    error = mount_at(kDisk, "/lower", "ext4", MS_RDONLY, "noload");
  }
  require(error, "cannot mount rootfs.ext4");
}

void mount_overlay() {
  require(mount_at("overlay", "/layer", "tmpfs", 0, "mode=0755"), "cannot mount the layer");
  ::mkdir("/layer/upper", 0755);
  ::mkdir("/layer/work", 0755);
  require(mount_at("overlay", "/new", "overlay", 0,
                   "lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work"),
          "cannot mount an overlay over rootfs.ext4");
}

void move_into_new_root(const char* name) {
  const std::string target = std::string("/new") + name;
  ::mkdir(target.c_str(), 0755);
  require(::mount(name, target.c_str(), nullptr, MS_MOVE, nullptr) == 0 ? 0 : errno,
          "cannot move a file system into the new root");
}

void change_root() {
  const bool changed = ::chdir("/new") == 0 && ::mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 &&
                       ::chroot(".") == 0 && ::chdir("/") == 0;
  require(changed ? 0 : errno, "cannot change to the new root");
}

}  // namespace

int mount_at(const char* source, const char* target, const char* type, unsigned long flags,
             const char* options) {
  ::mkdir(target, 0755);
  return ::mount(source, target, type, flags, options) == 0 ? 0 : errno;
}

void mount_kernel_file_systems() {
  require(mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
          "cannot mount /proc");
  require(mount_at("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
          "cannot mount /sys");
  require(mount_at("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"), "cannot mount /dev");
}

void enter_root_file_system() {
  mount_disk();
  mount_overlay();
  for (const char* const name : {"/proc", "/sys", "/dev"}) move_into_new_root(name);
  change_root();
}

}  // namespace pyro::guest
