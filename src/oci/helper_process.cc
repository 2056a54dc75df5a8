// A program that is asked one thing.
#include "oci/helper_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "base/files.h"
#include "sandbox/policy.h"

namespace pyro {
namespace {

using Clock = std::chrono::steady_clock;

/// A file instead of a pipe: a helper that does not read it blocks nothing and causes no SIGPIPE.
Fd input_of(const std::string& text) {
  Fd file = make_memory_file("a question");
  pwrite_all(file.get(), std::as_bytes(std::span(text)), 0, "a question");
  return file;
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    ::fcntl(read.get(), F_SETFL, O_NONBLOCK);
  }
  Fd read;
  Fd write;
};

/// Its memory holds secrets, which a core would leave on the disk. It is the user's, as trusted as
/// the files that name it, and needs agents, terminals and a keyring's files; a part of it may be a
/// program with a group of its own (ssh-agent), which no_new_privs would break.
constexpr std::array kLimits = {ResourceLimit{RLIMIT_CORE, 0}};

ProcessStart start_of(const std::filesystem::path& program, const std::string& verb, int input,
                      int output) {
  return {.program = program,
          .arguments = {program.string(), verb},
          .variables = own_variables(),
          .descriptors = {input, output},
          .confine = [] { return lower_limits(kLimits); }};
}

class Listener {
 public:
  Listener(const Subprocess& helper, int output, const HelperLimits& limits)
      : helper_(helper), output_(output), limits_(limits), end_(Clock::now() + limits.patience) {}

  std::string hear_out() {
    bool has_ended = false;
    bool is_open = true;
    while (!has_ended) {
      std::array<pollfd, 2> events{
          {{helper_.descriptor(), POLLIN, 0}, {is_open ? output_ : -1, POLLIN, 0}}};
      if (::poll(events.data(), events.size(), time_left()) < 0 && errno != EINTR) break;
      if (limits_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      if (Clock::now() >= end_) throw Error(ErrorCode::failed, "it did not answer " + in_time());
      has_ended = events[0].revents != 0;
      if (is_open) is_open = take();
    }
    return std::move(text_);
  }

 private:
  /// False at the end of the output.
  bool take() {
    std::array<char, 4096> piece{};
    for (;;) {
      const ssize_t n = ::read(output_, piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0;
      text_.append(piece.data(), static_cast<std::size_t>(n));
      if (text_.size() > limits_.output) {
        throw Error(ErrorCode::failed,
                    "it said more than " + std::to_string(limits_.output) + " bytes");
      }
    }
  }

  [[nodiscard]] int time_left() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
  }

  [[nodiscard]] std::string in_time() const {
    const auto ms = limits_.patience.count();
    return "within " +
           (ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms");
  }

  const Subprocess& helper_;
  int output_;
  const HelperLimits& limits_;
  Clock::time_point end_;
  std::string text_;
};

}  // namespace

HelperAnswer ask_helper(const std::filesystem::path& program, const std::string& verb,
                        const std::string& input, const HelperLimits& limits) {
  const Fd question = input_of(input);
  Pipe pipe;
  Subprocess helper(start_of(program, verb, question.get(), pipe.write.get()), program.string());
  pipe.write.reset();
  // Its end is what wakes the listener.
  const std::stop_callback on_stop(limits.stop, [&] { helper.kill(); });
  try {
    std::string output = Listener(helper, pipe.read.get(), limits).hear_out();
    return {helper.wait(), std::move(output)};
  } catch (...) {
    helper.kill_group();
    throw;
  }
}

}  // namespace pyro
