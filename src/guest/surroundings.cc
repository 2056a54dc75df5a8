// What programs expect of a running system. Without some of it a few work less well, so a failure
// is none of the machine's. All of it is done while booting: a machine that goes on has it.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>

#include "guest/descriptor.h"
#include "guest/machine.h"

namespace pyro::guest {
namespace {

void mount_what_is_usual() {
  constexpr unsigned long kOnlyData = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
  mount_at("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_at("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
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

void write_setting(const char* path, std::string_view value) {
  const Descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  static_cast<void>(!::write(file.get(), value.data(), value.size()));
}

/// As systemd and the distributions' servers have them. The kernel's own are meant for the smallest
/// machines, and give ping to root alone.
void raise_limits() {
  constexpr rlimit kOpenFiles{1024, 512 << 10};
  ::setrlimit(RLIMIT_NOFILE, &kOpenFiles);
  write_setting("/proc/sys/fs/inotify/max_user_watches", "524288");
  write_setting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

}  // namespace

void complete_system() {
  mount_what_is_usual();
  link_descriptors();
  make_static_nodes();
  raise_limits();
  if (::mkdir("/tmp", 01777) == 0) ::chmod("/tmp", 01777);
}

// The image's may be a link to what a service would have written.
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
