// Signals that ask pyro to stop, turned into a stop token.
#pragma once

#include <stop_token>
#include <thread>

namespace pyro::cli {

/// For its lifetime SIGINT, SIGTERM and SIGHUP request a stop instead of killing the process, so
/// that unfinished work is cleaned up. A second SIGINT or SIGTERM exits at once with 130, after
/// ending a terminal's raw mode; a second SIGHUP does not, as a closing terminal may send two.
/// SIGPIPE is ignored: writes fail with EPIPE. A signal that was ignored when pyro began stays
/// ignored (nohup).
///
/// Interrupted system calls are restarted, so blocking code must poll the token. At most one object
/// at a time.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  void relay();

  std::stop_source source_;
  std::thread relay_;
};

/// For the lifetime of a Hold, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM can be read from the
/// descriptor, one byte each, its number, instead of ending the process. At most one object at a
/// time.
class SignalRelay {
 public:
  /// @throws Error(filesystem)
  SignalRelay();
  ~SignalRelay();
  SignalRelay(const SignalRelay&) = delete;
  SignalRelay& operator=(const SignalRelay&) = delete;

  [[nodiscard]] int descriptor() const noexcept;

  class Hold {
   public:
    Hold();
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
  };
};

/// The signal that asked for the stop first; SIGINT before there was one.
[[nodiscard]] int stop_signal() noexcept;

}  // namespace pyro::cli
