// Stands between a test and a command so that the command's peak memory and its processor time can
// be measured.
//
// The kernel counts the memory of the forking process into the maximum of its child (the child has
// it until it executes something else), so a test that holds a 200 MiB image would measure every
// command at 200 MiB. This process is small: what it forks is measured honestly.
//
// usage: launcher PROGRAM ARGV0 [ARG...]; the result goes to descriptor 3: "STATUS MAX_RSS_KIB
// MICROSECONDS", the last of processor time.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kReportDescriptor = 3;

[[noreturn]] void execute(const char* program, char** argv, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::execv(program, argv);
  std::fprintf(stderr, "cannot execute %s: %s\n", program, std::strerror(errno));
  ::_exit(127);
}

long long microseconds(const timeval& time) {
  return time.tv_sec * 1'000'000LL + time.tv_usec;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 127;
  ::fcntl(kReportDescriptor, F_SETFD, FD_CLOEXEC);
  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return 127;
  if (child == 0) execute(argv[1], argv + 2, self);
  // The command's own copies must be the only ones: readers wait for the last to be closed.
  for (int fd = 0; fd < kReportDescriptor; ++fd) ::close(fd);
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  ::dprintf(kReportDescriptor, "%d %ld %lld\n", status, usage.ru_maxrss,
            microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
  return 0;
}
