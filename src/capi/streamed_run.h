// A command whose output goes to a function of the caller.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/subprocess.h"
#include "pyro/machine.h"
#include "pyro/pyro.h"

namespace pyro::capi {

/// Runs a command on a thread of its own, and hands its output to the caller's function on this
/// one.
class StreamedRun {
 public:
  /// `streams` may be null.
  StreamedRun(std::function<CommandReport(const CommandOptions& options)> work,
              CommandOptions options, const pyro_streams* streams)
      : streams_(streams != nullptr ? *streams : pyro_streams{-1, nullptr, nullptr}) {
    options.input = streams_.input;
    options.output = pipes_[0].write.get();
    options.error_output = pipes_[1].write.get();
    thread_ = std::thread([this, work = std::move(work), options = std::move(options)] {
      try {
        report_ = work(options);
      } catch (...) {
        failure_ = std::current_exception();
      }
      for (Pipe& pipe : pipes_) pipe.write.reset();
    });
  }

  ~StreamedRun() {
    if (thread_.joinable()) thread_.join();
  }
  StreamedRun(const StreamedRun&) = delete;
  StreamedRun& operator=(const StreamedRun&) = delete;

  /// Until both outputs have ended, which they do with the command.
  void pass_output_on() {
    std::array<pollfd, 2> fds{
        {{pipes_[0].read.get(), POLLIN, 0}, {pipes_[1].read.get(), POLLIN, 0}}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
      if (::poll(fds.data(), fds.size(), -1) < 0) continue;
      for (int i = 0; i < 2; ++i) {
        pollfd& ready = fds[static_cast<std::size_t>(i)];
        if (ready.fd >= 0 && ready.revents != 0 && !pass_on(ready.fd, i + 1)) ready.fd = -1;
      }
    }
  }

  [[nodiscard]] CommandReport finish() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
    return report_;
  }

 private:
  /// False at the end.
  bool pass_on(int fd, int stream) {
    const ssize_t got = ::read(fd, piece_.data(), piece_.size());
    if (got < 0) return errno == EINTR;
    if (got > 0 && streams_.output != nullptr) {
      streams_.output(streams_.context, stream, piece_.data(), static_cast<std::size_t>(got));
    }
    return got > 0;
  }

  const pyro_streams streams_;
  std::array<Pipe, 2> pipes_;
  std::array<char, 64 << 10> piece_;
  CommandReport report_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace pyro::capi
