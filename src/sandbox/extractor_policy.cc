// The policy of the extractor while it reads untrusted bytes.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "sandbox/extractor_process.h"

namespace pyro {

#ifdef __x86_64__
namespace {

using Action = CallRule::Action;

constexpr CallCondition kNotExecutable{.argument = 2, .mask = PROT_EXEC, .value = 0};
constexpr std::uint32_t kThreadFlags = CLONE_THREAD | CLONE_VM;
constexpr CallCondition kOfThisProcess{.argument = 0, .mask = kThreadFlags, .value = kThreadFlags};
constexpr CallCondition kItself{.argument = 0, .value = 0};
constexpr CallCondition kIdleClass{.argument = 1, .value = SCHED_IDLE};
constexpr CallCondition kFreesBlocks{.argument = 1,
                                     .value = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};

CallRule allow(std::uint32_t number, std::vector<CallCondition> conditions = {}) {
  return {number, Action::allow, std::move(conditions)};
}

/// malloc() returns memory with it, and thread stacks are made with it.
CallRule allow_advice(std::uint32_t advice) {
  return allow(SYS_madvise, {{.argument = 2, .value = advice}});
}

std::vector<CallRule> allowed_calls() {
  const auto self = static_cast<std::uint32_t>(::getpid());
  return {
      // Open files: the artifacts, and the socket to the process that started this one.
      allow(SYS_read),
      allow(SYS_write),
      allow(SYS_pread64),
      allow(SYS_pwrite64),
      allow(SYS_ftruncate),
      allow(SYS_sync_file_range),
      allow(SYS_fallocate, {kFreesBlocks}),
      // Memory.
      allow(SYS_brk),
      allow(SYS_mmap, {kNotExecutable}),
      allow(SYS_mprotect, {kNotExecutable}),
      allow(SYS_mremap),
      allow(SYS_munmap),
      allow_advice(MADV_DONTNEED),
      allow_advice(MADV_HUGEPAGE),
      allow_advice(MADV_NOHUGEPAGE),
      // Threads, until no_more_threads().
      allow(SYS_clone, {kOfThisProcess}),
      allow(SYS_seccomp, {{.argument = 0, .value = SECCOMP_SET_MODE_FILTER},
                          {.argument = 1, .value = SECCOMP_FILTER_FLAG_TSYNC}}),
      allow(SYS_set_robust_list),
      allow(SYS_rseq),
      allow(SYS_futex),
      allow(SYS_sched_setscheduler, {kItself, kIdleClass}),
      allow(SYS_sched_getaffinity),  // malloc asks how many processors there are
      allow(SYS_sched_yield),
      allow(SYS_gettid),
      allow(SYS_getpid),
      allow(SYS_rt_sigprocmask),
      allow(SYS_rt_sigaction),  // the first thread that is started brings a handler along
      allow(SYS_rt_sigreturn),
      allow(SYS_restart_syscall),
      // Its own abort().
      allow(SYS_tgkill, {{.argument = 0, .value = self}, {.argument = 2, .value = SIGABRT}}),
      // Time, where the kernel does not answer without a call.
      allow(SYS_clock_gettime),
      allow(SYS_clock_nanosleep),
      allow(SYS_getrandom),
      allow(SYS_exit),
      allow(SYS_exit_group),
  };
}

/// Calls that libraries may make and can do without: malloc() reads a setting of the kernel before
/// it returns a heap, streams ask for the status of their file.
std::vector<CallRule> refused_calls() {
  std::vector<CallRule> rules;
  for (const std::uint32_t number :
       {SYS_open, SYS_openat, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_stat, SYS_lstat,
        SYS_newfstatat, SYS_statx, SYS_readlink, SYS_readlinkat}) {
    rules.push_back({number, Action::refuse_path});
  }
  for (const std::uint32_t number :
       {SYS_fstat, SYS_lseek, SYS_close, SYS_fcntl, SYS_ioctl, SYS_writev, SYS_uname, SYS_sysinfo,
        SYS_getrusage, SYS_getrlimit, SYS_prlimit64, SYS_prctl, SYS_getcpu, SYS_membarrier,
        SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_madvise}) {
    rules.push_back({number, Action::refuse});
  }
  // Its flags lie in memory, where no filter sees them; the C library then takes clone.
  rules.push_back({SYS_clone3, Action::unknown});
  return rules;
}

SystemCalls extractor_calls(CallRule::Action otherwise) {
  SystemCalls calls{.rules = allowed_calls(), .otherwise = otherwise};
  std::ranges::move(refused_calls(), std::back_inserter(calls.rules));
  return calls;
}

}  // namespace

SystemCalls no_more_threads() {
  return {.rules = {{SYS_clone, Action::refuse}, {SYS_seccomp, Action::refuse}},
          .otherwise = Action::allow};
}

#else  // the numbers and arguments of system calls differ

namespace {
SystemCalls extractor_calls(CallRule::Action) {
  return {};
}
}  // namespace

SystemCalls no_more_threads() {
  return {};
}

#endif

// The sanitizers' shadow memory takes terabytes, and their runtime opens files.
#ifdef PYRO_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

Policy extractor_policy(const ExtractionLimits& limits, int last_descriptor,
                        CallRule::Action otherwise) {
  Policy policy;
  policy.limits = {
      {RLIMIT_FSIZE, std::max({limits.rootfs_bytes, limits.kernel_bytes, limits.initrd_bytes})},
      {RLIMIT_NOFILE, static_cast<std::uint64_t>(last_descriptor) + 1},
      {RLIMIT_CORE, 0}};
  if (kSanitized) return policy;
  // A window of 128 MiB, stacks, and the address space that malloc sets aside for each thread.
  policy.limits.push_back({RLIMIT_AS, std::uint64_t{1} << 30});
  policy.calls = extractor_calls(otherwise);
  return policy;
}

}  // namespace pyro
