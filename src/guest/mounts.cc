// The file systems, devices and limits that programs expect of a running system.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/text.h"

namespace pyro::guest {
namespace {

void require(int error, const char* what) {
  if (error != 0) give_up(what, error);
}

/// The device of the disk with that serial number, when it has appeared.
std::string find_disk(const std::string& serial) {
  for (const char* const name : {"vda", "vdb"}) {
    const std::string text = read_file(std::string("/sys/block/") + name + "/serial");
    const std::string found = text.substr(0, text.find('\n'));
    std::string device = std::string("/dev/") + name;
    if (found == serial && ::access(device.c_str(), F_OK) == 0) return device;
  }
  return {};
}

std::string wait_for_disk(const char* serial) {
  std::string device;
  if (!wait_for([&] { return !(device = find_disk(serial)).empty(); })) {
    give_up("no virtio disk appeared: neither the kernel nor its initrd.img has a driver");
  }
  return device;
}

void mount_disk() {
  const std::string disk = wait_for_disk(kRootSerial);
  int error = mount_at(disk.c_str(), "/lower", "ext4", MS_RDONLY, "");
  // The image was copied while mounted; its journal cannot be replayed on a read-only disk.
  if (error == EROFS || error == EACCES) {
    error = mount_at(disk.c_str(), "/lower", "ext4", MS_RDONLY, "noload");
  }
  require(error, "cannot mount rootfs.ext4");
}

// The tables of the scratch disk stay empty, and what is removed gives its room back to the host.
void mount_layer(bool has_scratch_disk) {
  if (has_scratch_disk) {
    const std::string disk = wait_for_disk(kScratchSerial);
    const int error = mount_at(disk.c_str(), "/layer", "ext4", MS_NOATIME, "noinit_itable,discard");
    return require(error, "cannot mount the scratch disk");
  }
  require(mount_at("overlay", "/layer", "tmpfs", 0, "mode=0755"), "cannot mount the layer");
}

/// Open as long as the machine runs: their paths end with the change of the root.
int layer_descriptor = -1;
int image_descriptor = -1;

/// An overlay of what is written to the layer, in the directories `upper` and `work`.
int mount_overlay(const std::string& lower, const char* upper, const char* work, const char* target,
                  const char* more = "") {
  const std::string upper_path = path_in_layer(upper);
  const std::string work_path = path_in_layer(work);
  ::mkdir(upper_path.c_str(), 0755);
  ::mkdir(work_path.c_str(), 0755);
  const std::string options =
      "lowerdir=" + lower + ",upperdir=" + upper_path + ",workdir=" + work_path + more;
  return mount_at("overlay", target, "overlay", 0, options.c_str());
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

void mount_what_is_usual(bool is_container) {
  constexpr unsigned long kOnlyData = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
  mount_at("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  // A container image's /run has what its programs expect there.
  if (!is_container) mount_at("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
  mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", kOnlyData, "");
}

void link_descriptors() {
  ::symlink("/proc/self/fd", "/dev/fd");
  ::symlink("/proc/self/fd/0", "/dev/stdin");
  ::symlink("/proc/self/fd/1", "/dev/stdout");
  ::symlink("/proc/self/fd/2", "/dev/stderr");
}

/// Devices whose drivers are loaded when they are opened (Linux, admin-guide/devices.txt).
struct StaticNode {
  const char* path;
  mode_t mode;
  unsigned minor;
};
constexpr unsigned kMiscDevice = 10;
constexpr StaticNode kStaticNodes[] = {
    {"/dev/fuse", 0666, 229}, {"/dev/net/tun", 0666, 200}, {"/dev/loop-control", 0660, 237}};

void make_static_nodes() {
  ::mkdir("/dev/net", 0755);
  for (const StaticNode& node : kStaticNodes) {
    if (::mknod(node.path, S_IFCHR | node.mode, makedev(kMiscDevice, node.minor)) == 0) {
      ::chmod(node.path, node.mode);  // whatever the umask is
    }
  }
}

/// The values of systemd and of distributions for servers. The defaults of the kernel are for the
/// smallest machines, and allow ping to root only.
void raise_limits() {
  constexpr rlimit kOpenFiles{1024, 512 << 10};
  ::setrlimit(RLIMIT_NOFILE, &kOpenFiles);
  write_setting("/proc/sys/fs/inotify/max_user_watches", "524288");
  write_setting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
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

void enter_root_file_system(bool has_scratch_disk) {
  mount_disk();
  mount_layer(has_scratch_disk);
  layer_descriptor = ::open("/layer", O_PATH | O_DIRECTORY | O_CLOEXEC);
  image_descriptor = ::open("/lower", O_PATH | O_DIRECTORY | O_CLOEXEC);
  require(mount_overlay("/lower", kSystemLayer, "work", "/new"),
          "cannot mount an overlay over rootfs.ext4");
  for (const char* const name : {"/proc", "/sys", "/dev"}) move_into_new_root(name);
  change_root();
  require(mount_workspace(), "cannot mount the workspace");
}

std::string path_in_layer(const char* name) {
  return "/proc/self/fd/" + std::to_string(layer_descriptor) + '/' + name;
}

std::string path_in_image() {
  return "/proc/self/fd/" + std::to_string(image_descriptor) + "/.";
}

// Programs expect that directories can be renamed, also those of the seed.
int mount_workspace() {
  const std::string seed = path_in_layer(kSeedLayer);
  if (::access(seed.c_str(), F_OK) != 0) return 0;
  // The owner of the mounted directory is that of its upper one.
  struct stat found {};
  const std::string changes = path_in_layer(kChangesLayer);
  if (::mkdir(changes.c_str(), 0755) == 0 && ::stat(seed.c_str(), &found) == 0) {
    static_cast<void>(!::chown(changes.c_str(), found.st_uid, found.st_gid));
  }
  return mount_overlay(seed, kChangesLayer, "changes.work", kWorkspace, ",redirect_dir=on");
}

void complete_system(bool is_container) {
  mount_what_is_usual(is_container);
  link_descriptors();
  make_static_nodes();
  raise_limits();
  if (::mkdir("/tmp", 01777) == 0) ::chmod("/tmp", 01777);
  if (is_container) {
    ::mkdir("/etc", 0755);
    ::symlink("/proc/mounts", "/etc/mtab");
  }
}

bool is_own_file(std::string_view path) {
  return path == "etc/hostname" || path == "etc/hosts" || path == "etc/mtab" ||
         path == "etc/resolv.conf";
}

// The file of the image may be a link to one that a service writes.
void write_own_file(const char* path, std::string_view content) {
  ::mkdir("/etc", 0755);
  ::unlink(path);
  const Descriptor file(::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  static_cast<void>(!::write(file.get(), content.data(), content.size()));
}

void write_names(const std::string& name) {
  write_own_file("/etc/hostname", name + '\n');
  write_own_file("/etc/hosts",
                 "127.0.0.1\tlocalhost\n"
                 "::1\tlocalhost ip6-localhost ip6-loopback\n"
                 "127.0.1.1\t" +
                     name + '\n');
}

}  // namespace pyro::guest
