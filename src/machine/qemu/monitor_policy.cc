// The sandbox policy of a monitor: files, system calls, limits.
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstdint>
#include <system_error>
#include <utility>

#include "machine/qemu/monitor_process.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

using PathRights = PathRule::Rights;

/// Where distributions have programs, libraries and firmware.
constexpr const char* kPrograms[] = {"/usr",   "/bin",       "/lib",      "/lib32",
                                     "/lib64", "/nix/store", "/gnu/store"};

/// Settings of the loader and the clock, and files about the host that the C library and QEMU read.
constexpr const char* kSettings[] = {"/etc/ld.so.cache",
                                     "/etc/ld.so.preload",
                                     "/etc/localtime",
                                     "/dev/urandom",
                                     "/dev/random",
                                     "/sys/devices/system",
                                     "/sys/kernel/mm/transparent_hugepage"};

constexpr const char* kDevices[] = {"/dev/null", "/dev/kvm"};

/// A monitor that is installed elsewhere has its libraries and firmware beside it: in PREFIX/bin,
/// or in the directory that it was built in.
void add_program(const fs::path& program, std::vector<PathRule>& rules) {
  std::error_code none;
  const fs::path directory = fs::weakly_canonical(program, none).parent_path();
  if (!directory.has_relative_path()) return;
  rules.push_back({PathRights::read_and_execute, directory});
  for (const char* part : {"lib", "lib64", "share"}) {
    rules.push_back({PathRights::read_and_execute, directory.parent_path() / part});
  }
}

/// The guest's name server asks those of the host. A link leads to a file that is replaced whenever
/// they change.
void add_name_servers(std::vector<PathRule>& rules) {
  const fs::path file = "/etc/resolv.conf";
  std::error_code none;
  const fs::path target = fs::weakly_canonical(file, none);
  rules.push_back({PathRights::read, target.parent_path() == "/etc" ? file : target.parent_path()});
}

#ifdef __x86_64__

using Action = CallRule::Action;

// Numbers that the C library's headers may not have yet.
constexpr std::uint32_t kMountSetattr = 442;  // Linux 5.12
constexpr std::uint32_t kQuotactlFd = 443;    // 5.14
constexpr std::uint32_t kFchmodat2 = 452;     // 6.6
constexpr std::uint32_t kSetxattrat = 463;    // 6.13
constexpr std::uint32_t kRemovexattrat = 466;
constexpr std::uint32_t kOpenTreeAttr = 467;  // 6.15
constexpr std::uint32_t kFileSetattr = 469;   // 6.17

/// System calls that neither Landlock nor QEMU's own filter forbids: they change files without
/// opening them, access other processes, or reach parts of the kernel that a monitor does not need.
constexpr std::uint32_t kRefused[] = {
    // Attributes of files.
    SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchown, SYS_lchown, SYS_fchownat, SYS_utime,
    SYS_utimes, SYS_futimesat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr,
    SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, kFchmodat2, kSetxattrat, kRemovexattrat,
    kFileSetattr,
    // Other processes.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_open,
    SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_process_madvise,
    // Requests that no filter sees.
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    // The rest of the kernel.
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, SYS_move_mount, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open,
    SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_init_module, SYS_finit_module,
    SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff,
    SYS_acct, SYS_quotactl, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
    SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_iopl, SYS_ioperm, SYS_open_by_handle_at,
    SYS_name_to_handle_at, SYS_fanotify_init, SYS_personality, SYS_vhangup, kMountSetattr,
    kOpenTreeAttr, kQuotactlFd};

/// They change attributes of a file that is open for reading only.
constexpr std::uint32_t kRefusedRequests[] = {FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR,
                                              FS_IOC_ENABLE_VERITY};

SystemCalls monitor_calls(bool network) {
  SystemCalls calls{.otherwise = Action::allow};
  for (const std::uint32_t request : kRefusedRequests) {
    calls.rules.push_back({SYS_ioctl, Action::refuse, {{.argument = 1, .value = request}}});
  }
  // Decided early: each entry into the guest is such a call.
  calls.rules.push_back({SYS_ioctl, Action::allow});
  if (network) {
    for (const std::uint32_t domain : {AF_INET, AF_INET6}) {
      calls.rules.push_back({SYS_socket, Action::allow, {{.argument = 0, .value = domain}}});
    }
  }
  calls.rules.push_back({SYS_socket, Action::refuse});
  for (const std::uint32_t number : kRefused) calls.rules.push_back({number, Action::refuse});
  return calls;
}

#else

SystemCalls monitor_calls(bool) {
  return {};
}

#endif

}  // namespace

Policy monitor_policy(const MonitorStart& start) {
  Policy policy{.paths = start.files,
                .tcp = start.network,
                .calls = monitor_calls(start.network),
                .limits = {{RLIMIT_CORE, 0},
                           {RLIMIT_NOFILE, start.limits.descriptors},
                           {RLIMIT_FSIZE, start.limits.largest_file},
                           {RLIMIT_AS, start.limits.address_space},
                           {RLIMIT_CPU, start.limits.processor_seconds}}};
  for (const char* path : kPrograms) policy.paths.push_back({PathRights::read_and_execute, path});
  for (const char* path : kSettings) policy.paths.push_back({PathRights::read, path});
  for (const char* path : kDevices) policy.paths.push_back({PathRights::read_and_write, path});
  add_program(start.program, policy.paths);
  if (start.network) add_name_servers(policy.paths);
  return policy;
}

}  // namespace pyro
