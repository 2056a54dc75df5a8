// Signals that ask pyro to stop, turned into a stop token.
#include "cli/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "base/files.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace pyro::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int kRelayed[] = {SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
constexpr char kStop = 's';
constexpr char kEnd = 'e';

// Globals, as the handlers use them. std::stop_source::request_stop() takes locks, so a thread
// calls it; the handler only writes to that thread's pipe.
int pipe_ends[2] = {-1, -1};
int relay_ends[2] = {-1, -1};
std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

void send(const int (&pipe)[2], char what) noexcept {
  const int saved = errno;
  static_cast<void>(!::write(pipe[1], &what, 1));
  errno = saved;
}

extern "C" void on_signal(int number) {
  int none = 0;
  if (first_signal.compare_exchange_strong(none, number)) return send(pipe_ends, kStop);
  if (number == SIGHUP) return;
  restore_terminal();
  ::_exit(exit_code(ErrorCode::interrupted));
}

extern "C" void on_relayed(int number) {
  send(relay_ends, static_cast<char>(number));
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  ::sigaction(number, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;
  action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

SignalWatch::SignalWatch() {
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  }
  first_signal = 0;
  relay_ = std::thread([this] { relay(); });
  for (const int number : kSignals) handle(number, on_signal);
  handle(SIGPIPE, SIG_IGN);
  // Above a limit on file sizes write() is to fail, so that partial files are cleaned up.
  handle(SIGXFSZ, SIG_IGN);
}

SignalWatch::~SignalWatch() {
  for (const int number : kSignals) handle(number, SIG_DFL);
  send(pipe_ends, kEnd);
  relay_.join();
  for (const int fd : pipe_ends) ::close(fd);
}

void SignalWatch::relay() {
  char what = kEnd;
  do {
    const ssize_t n = ::read(pipe_ends[0], &what, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n != 1 || what == kEnd) return;
    source_.request_stop();
  } while (true);
}

SignalRelay::SignalRelay() {
  if (::pipe2(relay_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw system_error("cannot watch for signals", errno);
  }
}

SignalRelay::~SignalRelay() {
  for (const int fd : relay_ends) ::close(fd);
}

int SignalRelay::descriptor() const noexcept {
  return relay_ends[0];
}

SignalRelay::Hold::Hold() {
  for (const int number : kRelayed) handle(number, on_relayed);
}

SignalRelay::Hold::~Hold() {
  for (const int number : kRelayed) handle(number, SIG_DFL);
}

int stop_signal() noexcept {
  const int number = first_signal;
  return number == 0 ? SIGINT : number;
}

}  // namespace pyro::cli
