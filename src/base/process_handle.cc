// A child process, by a descriptor.
#include "base/process_handle.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace pyro {

ProcessHandle::ProcessHandle(pid_t child, const std::string& what)
    : handle_(static_cast<int>(::syscall(SYS_pidfd_open, child, 0))) {
  if (handle_) return;
  const int error = errno;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  throw system_error("cannot watch over " + what, error);
}

ProcessHandle::~ProcessHandle() {
  kill();
  wait();
}

// By its handle, never by its number: a host program that waits for all of its children may have
// made that number another process's.
void ProcessHandle::kill() noexcept {
  ::syscall(SYS_pidfd_send_signal, handle_.get(), SIGKILL, nullptr, 0);
}

ProcessEnd ProcessHandle::wait() noexcept {
  if (std::exchange(ended_, true)) return end_;
  pollfd ended{handle_.get(), POLLIN, 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  siginfo_t info{};
  // Fails where a host program had its end already, or ignores that of all children.
  if (::waitid(P_PIDFD, static_cast<id_t>(handle_.get()), &info, WEXITED) != 0) return end_;
  if (info.si_code == CLD_EXITED) {
    end_.exit_code = info.si_status;
  } else {
    end_.signal = info.si_status;
  }
  return end_;
}

}  // namespace pyro
