// seccomp filters of system calls.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "sandbox/policy.h"

namespace pyro {

#ifdef __x86_64__
namespace {

/// The x32 interface has other numbers for the same calls.
constexpr std::uint32_t kFirstOfX32 = 0x40000000;

std::uint32_t value_of(CallRule::Action action) {
  switch (action) {
    case CallRule::Action::allow:
      return SECCOMP_RET_ALLOW;
    case CallRule::Action::refuse:
      return SECCOMP_RET_ERRNO | EPERM;
    case CallRule::Action::refuse_path:
      return SECCOMP_RET_ERRNO | EACCES;
    case CallRule::Action::unknown:
      return SECCOMP_RET_ERRNO | ENOSYS;
    case CallRule::Action::trap:
      return SECCOMP_RET_TRAP;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

class Program {
 public:
  explicit Program(const SystemCalls& calls) {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    end_with(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    jump(BPF_JGE, kFirstOfX32, 0, 1);
    end_with(SECCOMP_RET_KILL_PROCESS);
    for (const CallRule& rule : calls.rules) add(rule);
    end_with(value_of(calls.otherwise));
  }

  std::vector<sock_filter> take() && { return std::move(code_); }

 private:
  void add(const CallRule& rule) {
    constexpr std::size_t kPerCondition = 3;
    const bool conditional = !rule.conditions.empty();
    const std::size_t tested = rule.conditions.size() * kPerCondition + 1;
    jump(BPF_JEQ, rule.number, 0, static_cast<std::uint8_t>(tested + (conditional ? 1 : 0)));
    for (std::size_t i = 0; i < rule.conditions.size(); ++i) {
      const CallCondition& condition = rule.conditions[i];
      // The lower half comes first.
      load(offsetof(seccomp_data, args) + 8 * condition.argument);
      code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, condition.mask));
      const std::size_t left = (rule.conditions.size() - i - 1) * kPerCondition + 1;
      jump(BPF_JEQ, condition.value, 0, static_cast<std::uint8_t>(left));
    }
    end_with(value_of(rule.action));
    if (conditional) load(offsetof(seccomp_data, nr));
  }

  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }

  /// Skips `if_so` instructions when the comparison with the loaded value holds, else `otherwise`.
  void jump(unsigned comparison, std::uint32_t value, std::uint8_t if_so, std::uint8_t otherwise) {
    code_.push_back(BPF_JUMP(BPF_JMP | comparison | BPF_K, value, if_so, otherwise));
  }

  void end_with(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

  std::vector<sock_filter> code_;
};

/// Calls that a library may come to make, and calls of attacks.
struct CallName {
  std::uint32_t number;
  const char* name;
};
#define PYRO_CALL(name) \
  CallName {            \
    SYS_##name, #name   \
  }
constexpr CallName kNames[] = {
    PYRO_CALL(accept4),
    PYRO_CALL(bind),
    PYRO_CALL(bpf),
    PYRO_CALL(chdir),
    PYRO_CALL(chmod),
    PYRO_CALL(chown),
    PYRO_CALL(clone),
    PYRO_CALL(connect),
    PYRO_CALL(copy_file_range),
    PYRO_CALL(creat),
    PYRO_CALL(dup),
    PYRO_CALL(dup2),
    PYRO_CALL(dup3),
    PYRO_CALL(epoll_create1),
    PYRO_CALL(eventfd2),
    PYRO_CALL(execve),
    PYRO_CALL(execveat),
    PYRO_CALL(fallocate),
    PYRO_CALL(fork),
    PYRO_CALL(getcwd),
    PYRO_CALL(getdents64),
    PYRO_CALL(getpid),
    PYRO_CALL(io_uring_setup),
    PYRO_CALL(kill),
    PYRO_CALL(link),
    PYRO_CALL(listen),
    PYRO_CALL(membarrier),
    PYRO_CALL(memfd_create),
    PYRO_CALL(mkdir),
    PYRO_CALL(mmap),
    PYRO_CALL(mount),
    PYRO_CALL(mprotect),
    PYRO_CALL(openat2),
    PYRO_CALL(pipe2),
    PYRO_CALL(poll),
    PYRO_CALL(process_vm_readv),
    PYRO_CALL(process_vm_writev),
    PYRO_CALL(ptrace),
    PYRO_CALL(recvmsg),
    PYRO_CALL(rename),
    PYRO_CALL(sendmsg),
    PYRO_CALL(sendto),
    PYRO_CALL(setns),
    PYRO_CALL(shmget),
    PYRO_CALL(socket),
    PYRO_CALL(symlink),
    PYRO_CALL(truncate),
    PYRO_CALL(uname),
    PYRO_CALL(unlink),
    PYRO_CALL(unlinkat),
    PYRO_CALL(unshare),
    PYRO_CALL(userfaultfd),
    PYRO_CALL(vfork),
    PYRO_CALL(writev),
};
#undef PYRO_CALL

}  // namespace

bool can_filter() noexcept {
  const std::uint32_t action = SECCOMP_RET_KILL_PROCESS;  // Linux 4.14
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

std::vector<sock_filter> make_filter(const SystemCalls& calls) {
  return Program(calls).take();
}

std::string name_of_call(std::uint32_t number) {
  const auto* const found = std::ranges::find(kNames, number, &CallName::number);
  const std::string text = std::to_string(number);
  return found == std::end(kNames) ? "number " + text : found->name + (" (" + text) + ")";
}

#else  // the numbers and arguments of system calls differ

bool can_filter() noexcept {
  return false;
}

std::vector<sock_filter> make_filter(const SystemCalls&) {
  return {};
}

std::string name_of_call(std::uint32_t number) {
  return "number " + std::to_string(number);
}

#endif

}  // namespace pyro
