// Signals that ask pyro to stop, turned into a stop token.
#pragma once

#include <stop_token>
#include <thread>

namespace pyro::cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP request a stop instead of killing the process, so
/// that what is half done can be cleaned up. A SIGINT or SIGTERM after that exits at once with 130,
/// and gives back a terminal that is raw; a terminal that closes may say SIGHUP twice. SIGPIPE is
/// ignored: writes say EPIPE. A signal that was ignored when pyro began stays so (nohup).
///
/// Interrupted system calls are restarted, so what waits must look at the token now and then. At
/// most one object at a time.
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

/// While one of its holds lives, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM can be read from it, a byte
/// for each, instead of ending the process. At most one object at a time.
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
