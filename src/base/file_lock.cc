// A lock between processes on a file that is never removed.
#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <thread>

#include "base/whole_calls.h"

namespace pyro {
namespace {

// flock() has no timeout, and a blocked one cannot be told to stop; so ask again now and then.
constexpr std::chrono::milliseconds kPollInterval{50};

Fd open_lock(int directory, const std::string& name, const std::filesystem::path& path) {
  return open_at(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600, path);
}

// For whoever waits; the lock itself does not depend on it.
void write_holder(int fd) {
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (!set_size(fd, 0) || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) return;
}

std::optional<int> read_holder(int directory, const std::string& name) {
  const auto text = read_small_file_at(directory, name, 32);
  int pid = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc()) {
    return std::nullopt;
  }
  return pid;
}

std::string holder_text(std::optional<int> holder) {
  return holder ? " (process " + std::to_string(*holder) + ")" : std::string();
}

}  // namespace

std::optional<FileLock> FileLock::try_acquire(int directory, const std::string& name,
                                              const std::filesystem::path& path) {
  while (true) {
    Fd fd = open_lock(directory, name, path);
    if (!try_lock(fd.get(), LockKind::exclusive, path)) return std::nullopt;
    // A lock on a file that somebody removed meanwhile excludes nobody.
    if (!is_still_in(directory, name, fd.get())) continue;
    write_holder(fd.get());
    return FileLock(std::move(fd));
  }
}

FileLock FileLock::acquire(int directory, const std::string& name,
                           const std::filesystem::path& path, const Waiting& waiting) {
  const auto start = std::chrono::steady_clock::now();
  bool told = false;
  while (true) {
    if (auto lock = try_acquire(directory, name, path)) return std::move(*lock);
    const auto holder = read_holder(directory, name);
    if (!told && waiting.on_wait) waiting.on_wait(holder);
    told = true;
    if (waiting.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (waiting.timeout && std::chrono::steady_clock::now() - start >= *waiting.timeout) {
      throw Error(ErrorCode::busy, "another process" + holder_text(holder) + " is at work on it");
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

bool try_lock(int fd, LockKind kind, const std::filesystem::path& path) {
  const int operation = (kind == LockKind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  if (uninterrupted([&] { return ::flock(fd, operation); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  throw system_error("cannot lock " + path.string(), errno);
}

}  // namespace pyro
