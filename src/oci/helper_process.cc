// A program that is asked one thing.
#include "oci/helper_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "base/exec_words.h"
#include "base/files.h"

namespace pyro {
namespace {

using Clock = std::chrono::steady_clock;

/// What the child does before it executes the program.
class Preparation {
 public:
  Preparation(int input, int output) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawn_file_actions_adddup2(&files_, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&files_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Preparation() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&files_);
  }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  [[nodiscard]] const posix_spawn_file_actions_t* files() const { return &files_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

/// A file instead of a pipe: whoever does not read it blocks nobody, and nobody gets a SIGPIPE.
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

pid_t start(const std::filesystem::path& program, const std::string& verb, int input, int output) {
  const Preparation preparation(input, output);
  std::vector<std::string> words{program.string(), verb};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), preparation.files(),
                                  preparation.attributes(), exec_words(words).data(), environ);
  if (error == 0) return pid;
  throw Error(ErrorCode::failed,
              program.string() + " cannot be started: " + std::generic_category().message(error));
}

/// The child, and those it started in turn.
class Group {
 public:
  explicit Group(pid_t leader) : leader_(leader), process_(leader, "a credential helper") {}

  // The leader has not been waited for, so that its number is nobody else's yet.
  void kill() noexcept { ::kill(-leader_, SIGKILL); }

  ProcessHandle& process() { return process_; }

 private:
  pid_t leader_;
  ProcessHandle process_;
};

class Listener {
 public:
  Listener(Group& group, int output, const HelperLimits& limits)
      : group_(group), output_(output), limits_(limits), end_(Clock::now() + limits.patience) {}

  std::string hear_out() {
    bool has_ended = false;
    bool is_open = true;
    while (!has_ended) {
      std::array<pollfd, 2> events{
          {{group_.process().descriptor(), POLLIN, 0}, {is_open ? output_ : -1, POLLIN, 0}}};
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

  Group& group_;
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
  Group group(start(program, verb, question.get(), pipe.write.get()));
  pipe.write.reset();
  // Its end is what wakes the listener.
  const std::stop_callback on_stop(limits.stop, [&] { group.process().kill(); });
  try {
    std::string output = Listener(group, pipe.read.get(), limits).hear_out();
    return {group.process().wait(), std::move(output)};
  } catch (...) {
    group.kill();
    throw;
  }
}

}  // namespace pyro
