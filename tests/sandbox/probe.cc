// Tries forbidden operations under a policy, and prints a line for each: "<what> <errno>". 0 is
// success.
//
//   probe HOW DIRECTORY      HOW: free; landlock, box, killed or sealed of the extractor's policy;
//                            given, which is under a policy already
//
// DIRECTORY holds a file "there" and a socket that the test listens to, "socket".
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/extractor_process.h"

namespace {

using namespace pyro;

// Newer than the C library's headers may be.
constexpr long kFchmodat2 = 452;
constexpr long kRemovexattrat = 466;

/// Made before the policy applies: using sockets is tested apart from making them.
struct Before {
  std::string there;
  std::string other;
  std::string unix_socket;
  int readable = -1;
  int internet = -1;
  int local = -1;
  pid_t parent = 0;
};

long connect_internet(const Before& before) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(1);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(before.internet, reinterpret_cast<sockaddr*>(&address), sizeof address);
}

long connect_local(const Before& before) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  before.unix_socket.copy(address.sun_path, sizeof address.sun_path - 1);
  return ::connect(before.local, reinterpret_cast<sockaddr*>(&address), sizeof address);
}

long execute(const Before&) {
  char name[] = "/bin/true";
  char* const arguments[] = {name, nullptr};
  return ::execve(name, arguments, arguments + 1);
}

long exit_if_child(long pid) {
  if (pid == 0) ::_exit(0);
  return pid;
}

long clone3_process(const Before&) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  return exit_if_child(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

/// Of a file that is open, if only for reading.
long change_flags(const Before& before) {
  int flags = FS_NOATIME_FL;
  return ::ioctl(before.readable, FS_IOC_SETFLAGS, &flags);
}

long map(int protection) {
  void* const memory = ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? -1 : 0;
}

long make_executable(const Before&) {
  void* const memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

long read_parent(const Before& before) {
  char byte = 0;
  iovec here{&byte, 1};
  iovec there{const_cast<Before*>(&before), 1};
  return ::process_vm_readv(before.parent, &here, 1, &there, 1, 0);
}

long schedule_parent(const Before& before) {
  const sched_param none{};
  return ::sched_setscheduler(before.parent, SCHED_OTHER, &none);
}

long advise(const Before&) {
  void* const memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::madvise(memory, 4096, MADV_SEQUENTIAL);
}

long start_thread(const Before&) {
  pthread_t thread{};
  errno = ::pthread_create(
      &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
  return errno == 0 ? 0 : -1;
}

using Attempt = std::pair<const char*, std::function<long(const Before&)>>;

const std::vector<Attempt> kAttempts = {
    {"open", [](const Before& b) { return ::syscall(SYS_open, b.there.c_str(), O_RDONLY); }},
    {"openat", [](const Before& b) { return ::openat(AT_FDCWD, b.there.c_str(), O_WRONLY); }},
    {"openat2",
     [](const Before& b) {
       const std::uint64_t how[3] = {O_RDONLY, 0, 0};
       return ::syscall(SYS_openat2, AT_FDCWD, b.there.c_str(), how, sizeof how);
     }},
    {"creat", [](const Before& b) { return ::syscall(SYS_creat, b.other.c_str(), 0600); }},
    {"truncate", [](const Before& b) { return ::truncate(b.there.c_str(), 1); }},
    {"mkdir", [](const Before& b) { return ::mkdir((b.other + "-dir").c_str(), 0700); }},
    {"symlink", [](const Before& b) { return ::symlink("/", (b.other + "-link").c_str()); }},
    {"rename",
     [](const Before& b) { return ::rename(b.there.c_str(), (b.there + "-now").c_str()); }},
    {"chmod", [](const Before& b) { return ::chmod(b.unix_socket.c_str(), 0700); }},
    {"fchmodat2",
     [](const Before& b) {
       return ::syscall(kFchmodat2, AT_FDCWD, b.unix_socket.c_str(), 0700, 0);
     }},
    {"removexattrat",
     [](const Before& b) {
       return ::syscall(kRemovexattrat, AT_FDCWD, b.there.c_str(), 0, "user.pyro");
     }},
    {"change_flags", change_flags},
    {"fallocate", [](const Before& b) { return ::fallocate(b.readable, 0, 0, 4096); }},
    {"collapse_range",
     [](const Before& b) { return ::fallocate(b.readable, FALLOC_FL_COLLAPSE_RANGE, 0, 4096); }},
    {"stat",
     [](const Before& b) {
       struct stat status {};
       return ::stat(b.unix_socket.c_str(), &status);
     }},
    {"connect_internet", connect_internet},
    {"connect_local", connect_local},
    {"unlink", [](const Before& b) { return ::unlink(b.unix_socket.c_str()); }},
    {"socket", [](const Before&) { return ::socket(AF_INET, SOCK_STREAM, 0); }},
    {"kill", [](const Before& b) { return ::kill(b.parent, SIGCONT); }},
    {"process_vm_readv", read_parent},
    {"fork", [](const Before&) { return exit_if_child(::syscall(SYS_fork)); }},
    {"clone",
     [](const Before&) { return exit_if_child(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }},
    {"clone3", clone3_process},
    {"mmap_exec", [](const Before&) { return map(PROT_READ | PROT_EXEC); }},
    {"mprotect_exec", make_executable},
    {"dup", [](const Before&) { return ::dup(STDOUT_FILENO); }},
    {"fcntl", [](const Before&) { return ::fcntl(STDOUT_FILENO, F_GETFL); }},
    {"ptrace", [](const Before& b) { return ::ptrace(PTRACE_SEIZE, b.parent, nullptr, nullptr); }},
    {"utimensat",
     [](const Before& b) { return ::utimensat(AT_FDCWD, b.unix_socket.c_str(), nullptr, 0); }},
    {"sched_setscheduler", schedule_parent},
    {"madvise", advise},
    {"io_uring_setup", [](const Before&) { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"thread", start_thread},
    {"execve", execute},
};

Before prepare(const std::string& directory) {
  return {.there = directory + "/there",
          .other = directory + "/other",
          .unix_socket = directory + "/socket",
          .readable = ::open((directory + "/there").c_str(), O_RDONLY | O_CLOEXEC),
          .internet = ::socket(AF_INET, SOCK_STREAM, 0),
          .local = ::socket(AF_UNIX, SOCK_STREAM, 0),
          .parent = ::getppid()};
}

Policy part_of(const std::string& how) {
  const auto otherwise = how == "killed" ? CallRule::Action::trap : CallRule::Action::refuse;
  Policy policy = extractor_policy({.rootfs_bytes = 1 << 20}, 63, otherwise);
  if (how == "landlock") policy.calls.reset();
  return policy;
}

bool close_box(const std::string& how) {
  if (how == "free" || how == "given") return true;
  const PreparedPolicy policy(part_of(how));
  const Confinement& confinement = policy.confinement();
  return confinement.landlock >= 6 && (confinement.seccomp || how == "landlock") &&
         policy.apply() && (how != "sealed" || filter_all_threads(no_more_threads()));
}

bool is_skipped(const std::string& how, const std::string& what) {
  if (how == "sealed") return what != "thread";
  if (what == "thread") return true;
  // Succeeds, or is forbidden in some containers.
  if (how == "free") return what == "ptrace" || what == "execve" || what == "io_uring_setup";
  return how == "given" && what == "execve";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 127;
  const std::string how = argv[1];
  const Before before = prepare(argv[2]);
  if (!close_box(how)) return 77;
  for (const auto& [what, attempt] : kAttempts) {
    if (is_skipped(how, what)) continue;
    errno = 0;
    const int error = attempt(before) < 0 ? errno : 0;
    const std::string line = std::string(what) + ' ' + std::to_string(error) + '\n';
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return 1;
  }
  ::_exit(0);
}
