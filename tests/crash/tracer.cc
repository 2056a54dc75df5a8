// Runs a command and records every change that it makes to the file system.
#include "crash/tracer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <future>
#include <map>
#include <set>
#include <stdexcept>

#include "support/file_descriptor.h"
#include "support/spawn.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                          PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
constexpr int kSyscallStop = SIGTRAP | 0x80;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// Waits for a byte before it executes the command, so that the process can be seized before that:
/// only a process itself can request to be traced from its first instruction.
class Gate {
 public:
  Gate() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
    read_ = FileDescriptor(ends[0]);
    write_ = FileDescriptor(ends[1]);
  }

  static Command behind(Command command) {
    // LeakSanitizer uses ptrace itself, and fails in a traced process.
    auto& options = command.env["ASAN_OPTIONS"];
    options = options.value_or("") + ":detect_leaks=0";
    const std::vector<std::string> shell{"/bin/sh", "-c", "read -r go; exec \"$@\"", "sh"};
    command.argv.insert(command.argv.begin(), shell.begin(), shell.end());
    return command;
  }

  int descriptor() const { return read_.get(); }

  void open() {
    read_.reset();
    if (::write(write_.get(), "\n", 1) != 1) fail("write");
    write_.reset();
  }

 private:
  FileDescriptor read_;
  FileDescriptor write_;
};

FileDescriptor output_file(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) fail("cannot open " + path.string());
  return file;
}

/// Belongs to the thread that makes it: only that one may ask the kernel about its processes.
class Tracer {
 public:
  Tracer(const Command& command, fs::path folder, const OnCall& on_call)
      : folder_(std::move(folder)), on_call_(on_call) {
    trace_.output = dir_ / "out";
    start(command);
  }

  Trace run() {
    int status = 0;
    // Children of other threads are not traced.
    for (pid_t thread = 0; (thread = ::waitpid(-1, &status, __WALL | __WNOTHREAD)) > 0;) {
      if (WIFSTOPPED(status)) {
        stopped(thread, status);
      } else {
        threads_.erase(thread);
        if (thread == leader_ && WIFEXITED(status)) trace_.exit_code = WEXITSTATUS(status);
      }
    }
    trace_.out = read_file(trace_.output);
    trace_.err = read_file(dir_ / "err");
    return std::move(trace_);
  }

 private:
  void start(const Command& command) {
    Gate gate;
    const FileDescriptor out = output_file(trace_.output);
    const FileDescriptor err = output_file(dir_ / "err");
    const Command behind = Gate::behind(command);
    leader_ = spawn(behind.argv, behind, {gate.descriptor(), out.get(), err.get()});
    if (::ptrace(PTRACE_SEIZE, leader_, nullptr, kOptions) != 0) {
      const int error_number = errno;
      ::kill(leader_, SIGKILL);
      ::waitpid(leader_, nullptr, 0);
      errno = error_number;
      fail("ptrace is not allowed");
    }
    threads_.insert(leader_);
    gate.open();
  }

  void stopped(pid_t thread, int status) {
    threads_.insert(thread);
    const int signal = WSTOPSIG(status);
    int deliver = 0;
    if (signal == kSyscallStop) {
      at_system_call(thread);
    } else if (status >> 16 == 0) {
      deliver = signal;
    }
    // Fails for those that were killed meanwhile.
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);
  }

  void at_system_call(pid_t thread) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) begin(thread, info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) end(thread, info.exit.rval);
  }

  void begin(pid_t thread, const __ptrace_syscall_info& info) {
    if (trace_.ended) return;
    auto call = decode(thread, info);
    const bool output = call && call->path == trace_.output;
    if (!call || !(output || concerns_folder(*call))) return;
    call->begin = ++clock_;
    trace_.calls.push_back(*call);
    in_progress_[thread] = {.index = trace_.calls.size() - 1, .output = output};
    if (!output) decide(thread, Moment::before);
  }

  void end(pid_t thread, long result) {
    const auto found = in_progress_.find(thread);
    if (found == in_progress_.end()) return;
    const InProgress in_progress = found->second;
    SystemCall& call = trace_.calls[in_progress.index];
    call.result = in_progress.skipped ? 0 : result;
    call.end = ++clock_;
    if (call.effect == Effect::open && result >= 0) {
      call.file = file_of_descriptor(thread, static_cast<int>(result));
    }
    if (in_progress.skipped) set_register(thread, offsetof(user, regs.rax), 0);
    if (!in_progress.output && !trace_.ended) decide(thread, Moment::after);
    in_progress_.erase(thread);
  }

  bool concerns_folder(const SystemCall& call) const {
    return is_within(call.path, folder_) || (!call.to.empty() && is_within(call.to, folder_));
  }

  void decide(pid_t thread, Moment moment) {
    if (!on_call_) return;
    InProgress& in_progress = in_progress_[thread];
    switch (on_call_(trace_.calls[in_progress.index], moment)) {
      case Verdict::go_on:
        return;
      case Verdict::skip:
        in_progress.skipped = true;
        return set_register(thread, offsetof(user, regs.orig_rax), -1UL);
      case Verdict::shorten:
        return halve_register(thread, offsetof(user, regs.rdx));
      case Verdict::end:
        trace_.ended = true;
        return kill_all();
    }
  }

  static void set_register(pid_t thread, std::size_t offset, unsigned long value) {
    if (::ptrace(PTRACE_POKEUSER, thread, offset, value) != 0) fail("cannot write a register");
  }

  // Never to nothing, which would be no progress.
  static void halve_register(pid_t thread, std::size_t offset) {
    const auto value = static_cast<unsigned long>(::ptrace(PTRACE_PEEKUSER, thread, offset, 0));
    set_register(thread, offset, value - value / 2);
  }

  // A call that its process has begun and stands before is not carried out any more.
  void kill_all() {
    ::kill(-leader_, SIGKILL);
    for (const pid_t thread : threads_) ::kill(thread, SIGKILL);
  }

  struct InProgress {
    std::size_t index = 0;
    bool output = false;
    bool skipped = false;
  };

  const fs::path folder_;
  const OnCall& on_call_;
  TempDir dir_;
  pid_t leader_ = -1;
  std::set<pid_t> threads_;
  std::map<pid_t, InProgress> in_progress_;
  std::size_t clock_ = 0;
  Trace trace_;
};

}  // namespace

Trace trace(const Command& command, const fs::path& folder, const OnCall& on_call) {
  return std::async(std::launch::async, [&] { return Tracer(command, folder, on_call).run(); })
      .get();
}

Crash crash_at(const Command& command, const std::filesystem::path& folder, int n, Moment moment) {
  Crash crash;
  const auto decide = [&](const SystemCall& call, Moment now) {
    if (now == Moment::before) ++crash.calls;
    if (crash.calls != n || now != moment) return Verdict::go_on;
    crash.at = call.describe();
    return Verdict::end;
  };
  const Trace traced = trace(command, folder, decide);
  crash.ended = traced.ended;
  crash.reported = !traced.out.empty();
  EXPECT_TRUE(crash.ended || traced.exit_code == 0) << traced.err;
  return crash;
}

std::optional<std::string> why_no_tracing() {
#ifdef __x86_64__
  try {
    trace({.argv = {"true"}}, "/nowhere");
    return std::nullopt;
  } catch (const std::runtime_error& error) {
    return error.what();
  }
#else
  return "the tracer knows the registers of x86_64 only";
#endif
}

}  // namespace pyro::testing
