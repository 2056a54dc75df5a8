// Preloaded: makes system calls fail, or changes the clock, as variables say:
//   PYRO_TEST_FAIL="CALL ERRNO FROM"  fsync, flock, renameat, renameat2 or close, from the
//                                     FROM-th call on
//   PYRO_TEST_INTERRUPT=1             every other call of each kind below returns EINTR, before
//                                     it has done anything
//   PYRO_TEST_CLOCK=SECONDS           the current time
//   PYRO_TEST_STORM=MICROSECONDS      interval of signals that interrupt waiting calls
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

template <typename Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::atomic<int> calls{0};

bool fails(const char* call) {
  const char* const wanted = std::getenv("PYRO_TEST_FAIL");
  const std::size_t length = std::strlen(call);
  if (wanted == nullptr || std::strncmp(wanted, call, length) != 0 || wanted[length] != ' ') {
    return false;
  }
  char* rest = nullptr;
  const long error = std::strtol(wanted + length, &rest, 10);
  if (++calls < std::strtol(rest, nullptr, 10)) return false;
  errno = static_cast<int>(error);
  return true;
}

/// `calls` are those of one kind.
bool is_interrupted(std::atomic<unsigned>& calls) {
  static const bool wanted = std::getenv("PYRO_TEST_INTERRUPT") != nullptr;
  if (!wanted || calls++ % 2 == 1) return false;
  errno = EINTR;
  return true;
}

/// The real function of that name, unless the call is interrupted.
#define PYRO_INTERRUPTIBLE(result, name, parameters, arguments) \
  result name parameters {                                      \
    static auto* const real = next(&::name, #name);             \
    static std::atomic<unsigned> kind{0};                       \
    return is_interrupted(kind) ? -1 : real arguments;          \
  }

bool told(time_t& seconds) {
  const char* const text = std::getenv("PYRO_TEST_CLOCK");
  if (text != nullptr) seconds = std::strtoll(text, nullptr, 10);
  return text != nullptr;
}

// Calls that wait end with EINTR: the handler is not one after which they go on by themselves.
[[gnu::constructor]] void begin_storm() {
  const char* const text = std::getenv("PYRO_TEST_STORM");
  if (text == nullptr) return;
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &action, nullptr);
  const timeval pause{.tv_sec = 0, .tv_usec = std::strtol(text, nullptr, 10)};
  const itimerval timer{.it_interval = pause, .it_value = pause};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace

extern "C" {

// The descriptor is gone all the same, as on Linux it always is.
int close(int fd) {
  static auto* const real = next(&::close, "close");
  const int result = real(fd);
  return fails("close") ? -1 : result;
}

int fsync(int fd) {
  static auto* const real = next(&::fsync, "fsync");
  static std::atomic<unsigned> kind{0};
  return fails("fsync") || is_interrupted(kind) ? -1 : real(fd);
}

int flock(int fd, int operation) noexcept {
  static auto* const real = next(&::flock, "flock");
  static std::atomic<unsigned> kind{0};
  return fails("flock") || is_interrupted(kind) ? -1 : real(fd, operation);
}

// Not of the standard library's: its directory iterators give up.
int openat(int directory, const char* name, int flags, ...) {
  static auto* const real = next(&::openat, "openat");
  static std::atomic<unsigned> kind{0};
  Dl_info caller{};
  const bool is_known = ::dladdr(__builtin_return_address(0), &caller) != 0;
  const bool is_ours = !is_known || std::strstr(caller.dli_fname, "libstdc++") == nullptr;
  if (is_ours && is_interrupted(kind)) return -1;
  std::va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return real(directory, name, flags, mode);
}

PYRO_INTERRUPTIBLE(int, ftruncate, (int fd, off_t size) noexcept, (fd, size))
PYRO_INTERRUPTIBLE(ssize_t, pread, (int fd, void* to, size_t size, off_t at), (fd, to, size, at))
PYRO_INTERRUPTIBLE(ssize_t, pwrite, (int fd, const void* from, size_t size, off_t at),
                   (fd, from, size, at))
PYRO_INTERRUPTIBLE(ssize_t, copy_file_range,
                   (int in, off64_t* from, int out, off64_t* to, size_t size, unsigned flags),
                   (in, from, out, to, size, flags))
// Not poll(): libcurl tries an interrupted one again without end where every other call fails.
PYRO_INTERRUPTIBLE(ssize_t, sendmsg, (int fd, const msghdr* message, int flags),
                   (fd, message, flags))
PYRO_INTERRUPTIBLE(ssize_t, send, (int fd, const void* from, size_t size, int flags),
                   (fd, from, size, flags))
PYRO_INTERRUPTIBLE(ssize_t, recv, (int fd, void* to, size_t size, int flags), (fd, to, size, flags))
PYRO_INTERRUPTIBLE(int, waitid, (idtype_t type, id_t id, siginfo_t* info, int options),
                   (type, id, info, options))

int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  static auto* const real = next(&::renameat, "renameat");
  return fails("renameat") ? -1 : real(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  static auto* const real = next(&::renameat2, "renameat2");
  return fails("renameat2") ? -1 : real(from_fd, from, to_fd, to, flags);
}

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  static auto* const real = next(&::clock_gettime, "clock_gettime");
  const int result = real(clock, now);
  if (clock == CLOCK_REALTIME) static_cast<void>(told(now->tv_sec));
  return result;
}

int gettimeofday(timeval* now, void* zone) noexcept {
  static auto* const real = next(&::gettimeofday, "gettimeofday");
  const int result = real(now, zone);
  static_cast<void>(told(now->tv_sec));
  return result;
}

time_t time(time_t* into) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (into != nullptr) *into = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
