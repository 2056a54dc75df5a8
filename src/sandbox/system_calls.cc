// seccomp: the system calls that extracting takes.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "sandbox/confinement.h"

namespace pyro {

#ifdef __x86_64__
namespace {

/// That (argument & mask) == value, of the lower half of an argument.
struct Condition {
  unsigned argument;
  std::uint32_t mask;
  std::uint32_t value;
};

struct Allowed {
  std::uint32_t number;
  std::optional<Condition> condition = {};
};

constexpr Condition kNotExecutable = {2, PROT_EXEC, 0};
constexpr Condition kOfThisProcess = {0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM};
constexpr Condition kIdleClass = {1, ~0U, SCHED_IDLE};

constexpr Allowed kAllowed[] = {
    // What is open: the artifacts, and the socket to whoever started this.
    {SYS_read},
    {SYS_write},
    {SYS_pread64},
    {SYS_pwrite64},
    {SYS_ftruncate},
    {SYS_sync_file_range},
    // Memory.
    {SYS_brk},
    {SYS_mmap, kNotExecutable},
    {SYS_mprotect, kNotExecutable},
    {SYS_mremap},
    {SYS_munmap},
    {SYS_madvise},
    // Threads.
    {SYS_clone, kOfThisProcess},
    {SYS_set_robust_list},
    {SYS_rseq},
    {SYS_futex},
    {SYS_sched_setscheduler, kIdleClass},
    {SYS_sched_getaffinity},  // malloc asks how many processors there are
    {SYS_sched_yield},
    {SYS_gettid},
    {SYS_getpid},
    {SYS_rt_sigprocmask},
    {SYS_rt_sigaction},  // the first thread that is started brings a handler along
    {SYS_rt_sigreturn},
    {SYS_restart_syscall},
    // Time, where the kernel does not answer without a call.
    {SYS_clock_gettime},
    {SYS_clock_nanosleep},
    {SYS_getrandom},
    {SYS_exit},
    {SYS_exit_group},
};

class Program {
 public:
  explicit Program(Forbidden forbidden)
      : forbidden_(forbidden == Forbidden::kills ? SECCOMP_RET_KILL_PROCESS
                                                 : SECCOMP_RET_ERRNO | EPERM) {
    load(offsetof(seccomp_data, arch));
    jump(AUDIT_ARCH_X86_64, 1, 0);
    end_with(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    // Its flags lie in memory, where no filter sees them; the C library then takes clone.
    jump(SYS_clone3, 0, 1);
    end_with(SECCOMP_RET_ERRNO | ENOSYS);
    for (const Allowed& call : kAllowed) add(call);
    end_with(forbidden_);
  }

  [[nodiscard]] bool install() {
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
  }

 private:
  void add(const Allowed& call) {
    if (!call.condition) {
      jump(call.number, 0, 1);
      return end_with(SECCOMP_RET_ALLOW);
    }
    jump(call.number, 0, 5);
    // The lower half comes first.
    load(offsetof(seccomp_data, args) + 8 * call.condition->argument);
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, call.condition->mask));
    jump(call.condition->value, 0, 1);
    end_with(SECCOMP_RET_ALLOW);
    end_with(forbidden_);
  }

  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }

  /// Skips so many instructions when the loaded word is `value`, or is not.
  void jump(std::uint32_t value, std::uint8_t if_equal, std::uint8_t otherwise) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_equal, otherwise));
  }

  void end_with(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

  std::uint32_t forbidden_;
  std::vector<sock_filter> code_;
};

}  // namespace

bool forbid_system_calls(Forbidden forbidden) {
  return Program(forbidden).install();
}

#else  // the numbers of system calls and what they are called with differ

bool forbid_system_calls(Forbidden) {
  return false;
}

#endif

}  // namespace pyro
