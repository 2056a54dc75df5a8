// Files by descriptor: opened close-on-exec, closed by a destructor, errors that name the path.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyro/error.h"

namespace pyro {

/// An open file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// The same file once more; empty for -1.
[[nodiscard]] Fd duplicate(int descriptor) noexcept;

/// Error(filesystem) "<what>: <text of errno>".
[[nodiscard]] Error system_error(std::string what, int error_number);

/// The result of `call`, a system call that is repeated when a signal interrupts it.
template <typename Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// openat(2) with O_CLOEXEC; -1 with errno set on failure.
[[nodiscard]] int try_open(int directory, const char* name, int flags, mode_t mode = 0) noexcept;

/// The same. Errors name the file `path`.
/// @throws Error(filesystem)
[[nodiscard]] Fd open_at(int directory, const std::string& name, int flags, mode_t mode,
                         const std::filesystem::path& path);

/// An empty file in memory, without a name in any directory. Errors name it `subject`.
[[nodiscard]] Fd make_memory_file(const char* subject);

/// Waits until poll() reports `events`, such as POLLIN, or an error of the descriptor.
/// @throws Error(interrupted) when `stop` is requested
void wait_for_event(int descriptor, short events, const std::stop_token& stop);

/// Whether `path`, a final symbolic link not followed, is the file that is open as `fd`.
[[nodiscard]] bool is_still_at(const std::filesystem::path& path, int fd) noexcept;

/// The same of `name` in `directory`: between opening and locking a file, another one may have been
/// put in its place.
[[nodiscard]] bool is_still_in(int directory, const std::string& name, int fd) noexcept;

/// Whether both are of one inode.
[[nodiscard]] bool same_file(const struct stat& a, const struct stat& b) noexcept;

// --- content; all throw Error(filesystem) ---

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
void pwrite_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                const std::string& subject);

/// The number of bytes read: fewer than asked for only at the end of the file.
[[nodiscard]] std::size_t pread_full(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                                     const std::string& subject);

/// Reads all of `bytes`. A file that ends earlier has become shorter, which is an error.
void pread_all(int fd, std::span<std::byte> bytes, std::uint64_t offset,
               const std::string& subject);

/// The size of a file without its holes, about: to show progress.
[[nodiscard]] std::uint64_t data_bytes(const struct stat& status) noexcept;

/// ftruncate(2); false with errno set on failure.
[[nodiscard]] bool set_size(int fd, std::uint64_t size) noexcept;

void sync_file(int fd, const std::filesystem::path& path);

// --- small files, read whole ---

/// The content of a regular file of at most `limit` bytes, not through a final symbolic link and
/// without blocking on a FIFO. Nothing for a missing, unreadable or other file.
[[nodiscard]] std::optional<std::string> read_small_file_at(int directory, const std::string& name,
                                                            std::size_t limit);

struct RegularFile {
  std::string content;
  struct stat status {};
};

/// Follows links and does not block on a FIFO; nothing for a missing file.
/// @throws Error(failed) with the reason ("it is larger than 1 MiB") and without the name
[[nodiscard]] std::optional<RegularFile> read_regular_file(const std::filesystem::path& file,
                                                           std::size_t limit);

/// The content of a settings file that has to exist and to pass require_believed().
/// @throws Error(failed) with the name, after `context`: "cannot use the certificates in"
[[nodiscard]] std::string read_required_file(const std::filesystem::path& file, std::size_t limit,
                                             const std::string& context);

// --- trust ---

/// The kind of a file's content.
enum class Holds {
  settings,  ///< Others may read it.
  secrets,
};

struct FileTrust {
  bool believed = true;
  std::string remark = {};  ///< The problem, or empty.
  std::string remedy = {};
};

/// As in ssh, a file that every user may write, or that another user owns, is not believed. A file
/// that its group may write is believed with a remark: many users have a group of their own. Root
/// believes files of every user, with a remark: containers get files of the user outside.
/// `user` is the user of this process.
[[nodiscard]] FileTrust judge_file(mode_t mode, uid_t owner, uid_t user, Holds what);

/// Judges a settings file by the status of the descriptor that it is read from.
/// @throws Error(failed), without the name, when judge_file() does not believe it
void require_believed(const struct stat& status);

// --- locks between processes: flock(2) ---

enum class LockKind { shared, exclusive };

/// Locks an open file until the descriptor is closed; replaces a lock that it holds already. False
/// when another lock conflicts. Errors name the file `path`.
/// @throws Error(filesystem) where the file system has no locks
[[nodiscard]] bool try_lock(int fd, LockKind kind, const std::filesystem::path& path);

/// The processes that hold such locks of an open file, as far as this kernel tells: those that took
/// them, also when others inherited them. Source: proc_locks(5).
[[nodiscard]] std::vector<int> lock_holders(int fd);

/// An exclusive lock on a file that is never removed; freed when its holder ends.
class FileLock {
 public:
  /// Nothing when another process holds it.
  [[nodiscard]] static std::optional<FileLock> try_acquire(int directory, const std::string& name,
                                                           const std::filesystem::path& path);

  struct Waiting {
    std::optional<std::chrono::milliseconds> timeout;
    std::stop_token stop;
    /// Called once, before waiting, with the holder's process id where it is known.
    std::function<void(std::optional<int> holder)> on_wait;
  };
  /// @throws Error(busy) after the timeout; Error(interrupted).
  [[nodiscard]] static FileLock acquire(int directory, const std::string& name,
                                        const std::filesystem::path& path, const Waiting& waiting);

  /// One that another process took, and passed on with this descriptor.
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }

 private:
  Fd fd_;
};

}  // namespace pyro
