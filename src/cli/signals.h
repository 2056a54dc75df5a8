// Signals that ask pyro to stop, turned into a stop token.
#pragma once

#include <stop_token>
#include <thread>

namespace pyro::cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP request a stop instead of killing the process, so
/// that what is half done can be cleaned up; a second SIGINT exits at once with 130, and gives back
/// a terminal that is raw. SIGPIPE is ignored: writes say EPIPE. A signal that was ignored when
/// pyro began stays so (nohup).
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

/// The signal that asked for the stop first; SIGINT before there was one.
[[nodiscard]] int stop_signal() noexcept;

}  // namespace pyro::cli
