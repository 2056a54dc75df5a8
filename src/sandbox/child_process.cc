// How the extractor is started.
#include "sandbox/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>

#include "base/exec_words.h"

namespace pyro {
namespace {

/// What the child does before it executes the program.
class Preparation {
 public:
  explicit Preparation(int socket) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawnattr_init(&attributes_);
    give_descriptors(socket);
    block_signals();
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
  void give_descriptors(int socket) {
    ::posix_spawn_file_actions_adddup2(&files_, socket, kSocketOfChild);
    ::posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&files_, STDIN_FILENO, STDOUT_FILENO);
#ifndef PYRO_SANITIZED  // which report there
    ::posix_spawn_file_actions_adddup2(&files_, STDIN_FILENO, STDERR_FILENO);
#endif
  }

  // Those that a terminal or a supervisor sends to all processes are this one's to answer; and
  // where a limit or a closed socket is met, a call should fail instead.
  void block_signals() {
    sigset_t blocked;
    ::sigfillset(&blocked);
    for (const int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT}) {
      ::sigdelset(&blocked, crash);
    }
    ::posix_spawnattr_setsigmask(&attributes_, &blocked);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }

  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

/// Variables may hold secrets, so there is none but the one without which an executable may not
/// find its libraries.
std::vector<std::string> environment() {
  const char* const libraries = std::getenv("LD_LIBRARY_PATH");  // NOLINT(concurrency-mt-unsafe)
  if (libraries == nullptr) return {};
  return {std::string("LD_LIBRARY_PATH=") + libraries};
}

}  // namespace

pid_t start_child(const std::filesystem::path& program, std::vector<std::string> arguments,
                  int socket) {
  const Preparation preparation(socket);
  std::vector<std::string> variables = environment();
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), preparation.files(), preparation.attributes(),
                    exec_words(arguments).data(), exec_words(variables).data());
  if (error != 0) throw system_error("cannot start the extractor " + program.string(), error);
  return pid;
}

}  // namespace pyro
