// The C API of machines.
#include "pyro/machine.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <string_view>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/subprocess.h"
#include "capi/calls.h"
#include "capi/options.h"
#include "front/documents.h"

struct pyro_machine {
  pyro::Machine machine;
};

namespace {

using namespace pyro::capi;
using pyro::Error;
using pyro::ErrorCode;
using pyro::Json;

pyro::Machine& required(pyro_machine* machine) {
  if (machine == nullptr) throw Error(ErrorCode::usage, "there is no machine");
  return machine->machine;
}

const char* required(const char* path, const char* what) {
  if (path == nullptr) throw Error(ErrorCode::usage, std::string("there is no path ") + what);
  return path;
}

pyro::CopyOptions copy_options(const char* options, Watch& watch) {
  pyro::CopyOptions copy = parse_copy_options(optional(options));
  copy.progress = watch.listener();
  copy.stop = watch.stop();
  return copy;
}

/// Returns the document that `work` makes of a machine.
template <typename Work>
char* answer(pyro_machine* machine, char** error, const Work& work) noexcept {
  return guarded(error, [&]() -> char* {
    char* const text = document(work(required(machine)));
    if (text == nullptr) throw std::bad_alloc();
    return text;
  });
}

/// Runs a command on a thread of its own, and hands its output to the caller's function on this
/// one.
class StreamedRun {
 public:
  StreamedRun(pyro::Machine& machine, pyro::CommandOptions options, const pyro_streams& streams)
      : streams_(streams) {
    options.input = streams.input;
    options.output = pipes_[0].write.get();
    options.error_output = pipes_[1].write.get();
    thread_ = std::thread([this, &machine, options = std::move(options)] {
      try {
        report_ = machine.run(options);
      } catch (...) {
        failure_ = std::current_exception();
      }
      for (pyro::Pipe& pipe : pipes_) pipe.write.reset();
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

  [[nodiscard]] pyro::CommandReport finish() {
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

  const pyro_streams& streams_;
  std::array<pyro::Pipe, 2> pipes_;
  std::array<char, 64 << 10> piece_;
  pyro::CommandReport report_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace

pyro_machine* pyro_machine_start(const pyro_store* store, const char* name, const char* options,
                                 pyro_operation* operation, char** error) {
  return guarded(error, [&] {
    if (store == nullptr) throw Error(ErrorCode::usage, "there is no store");
    const MachineChoice choice = parse_machine_options(optional(options), store->machine);
    pyro::EnvironmentStore environments(store->options);
    Watch watch(operation);
    return new pyro_machine{pyro::Machine(environments, pyro::capi::required(name), choice.machine,
                                          {.cold = choice.cold,
                                           .ports = choice.ports,
                                           .progress = watch.listener(),
                                           .stop = watch.stop()})};
  });
}

char* pyro_machine_describe(pyro_machine* machine, char** error) {
  return answer(machine, error,
                [](const pyro::Machine& one) { return pyro::machine_payload(one.info()); });
}

char* pyro_machine_run(pyro_machine* machine, const char* command, const pyro_streams* streams,
                       pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    constexpr pyro_streams kNone{-1, nullptr, nullptr};
    pyro::CommandOptions options = parse_command_options(optional(command));
    options.stop = Watch(operation).stop();
    StreamedRun run(one, std::move(options), streams != nullptr ? *streams : kNone);
    run.pass_output_on();
    return pyro::command_payload(run.finish());
  });
}

char* pyro_machine_copy_in(pyro_machine* machine, const char* from, const char* to,
                           const char* options, pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    Watch watch(operation);
    const pyro::CopyOptions copy = copy_options(options, watch);
    const std::size_t left_out =
        one.copy_in({required(from, "on the host"), required(to, "in the guest")}, copy);
    return Json{{"left_out", left_out}};
  });
}

char* pyro_machine_copy_out(pyro_machine* machine, const char* from, const char* to,
                            const char* options, pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    Watch watch(operation);
    const pyro::CopyOptions copy = copy_options(options, watch);
    one.copy_out({required(from, "in the guest"), required(to, "on the host")}, copy);
    return Json::object();
  });
}

void pyro_machine_stop(pyro_machine* machine) {
  if (machine != nullptr) machine->machine.stop();
}

void pyro_machine_free(pyro_machine* machine) {
  delete machine;
}
