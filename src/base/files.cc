// Files by descriptor.
#include "base/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <system_error>
#include <thread>

#include "base/text.h"

namespace pyro {
namespace {

// Callers add more specific hints.
std::string hint_for(int error_number) {
  const bool forbidden = error_number == EACCES || error_number == EPERM;
  return forbidden ? "check the owner and the mode of the directory" : "";
}

Error refusal(const std::string& why) {
  return {ErrorCode::failed, why};
}

/// One byte more than `size` shows that there is more.
std::string read_up_to(int fd, std::size_t size, const std::filesystem::path& file) {
  std::string content(size + 1, '\0');
  content.resize(pread_full(fd, std::as_writable_bytes(std::span(content)), 0, file.string()));
  return content;
}

// flock() has no timeout and cannot be stopped while it blocks.
constexpr std::chrono::milliseconds kPollInterval{50};

Fd open_lock(int directory, const std::string& name, const std::filesystem::path& path) {
  return open_at(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600, path);
}

// For messages of processes that wait; the lock does not depend on it.
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

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Fd duplicate(int descriptor) noexcept {
  return Fd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
}

Error system_error(std::string what, int error_number) {
  Error error(ErrorCode::filesystem, std::generic_category().message(error_number),
              hint_for(error_number));
  error.add_context(std::move(what));
  return error;
}

int try_open(int directory, const char* name, int flags, mode_t mode) noexcept {
  return uninterrupted([&] { return ::openat(directory, name, flags | O_CLOEXEC, mode); });
}

Fd open_at(int directory, const std::string& name, int flags, mode_t mode,
           const std::filesystem::path& path) {
  Fd fd(try_open(directory, name.c_str(), flags, mode));
  if (!fd) throw system_error("cannot open " + path.string(), errno);
  return fd;
}

void wait_for_event(int descriptor, short events, const std::stop_token& stop) {
  constexpr int kMilliseconds = 200;
  pollfd ready{.fd = descriptor, .events = events, .revents = 0};
  int answer = 0;
  do {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    answer = ::poll(&ready, 1, kMilliseconds);
  } while (answer == 0 || (answer < 0 && errno == EINTR));
}

Fd make_memory_file(const char* subject) {
  Fd file(::memfd_create("pyro", MFD_CLOEXEC));
  if (!file) throw system_error(std::string("cannot keep ") + subject + " in memory", errno);
  return file;
}

bool is_still_at(const std::filesystem::path& path, int fd) noexcept {
  return is_still_in(AT_FDCWD, path.native(), fd);
}

bool is_still_in(int directory, const std::string& name, int fd) noexcept {
  struct stat opened {};
  struct stat there {};
  return ::fstat(fd, &opened) == 0 &&
         ::fstatat(directory, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         same_file(opened, there);
}

bool same_file(const struct stat& a, const struct stat& b) noexcept {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = uninterrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n < 0) throw system_error("cannot write " + path.string(), errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void pwrite_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                const std::string& subject) {
  while (!bytes.empty()) {
    const ssize_t n = uninterrupted(
        [&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) throw system_error("cannot write " + subject, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::size_t pread_full(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                       const std::string& subject) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::span<std::byte> rest = bytes.subspan(done);
    const ssize_t n = uninterrupted(
        [&] { return ::pread(fd, rest.data(), rest.size(), static_cast<off_t>(offset + done)); });
    if (n < 0) throw system_error("cannot read " + subject, errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void pread_all(int fd, std::span<std::byte> bytes, std::uint64_t offset,
               const std::string& subject) {
  if (pread_full(fd, bytes, offset, subject) == bytes.size()) return;
  throw Error(ErrorCode::filesystem, subject + " changes while it is read");
}

std::uint64_t data_bytes(const struct stat& status) noexcept {
  constexpr std::uint64_t kStatBlock = 512;
  return std::min(static_cast<std::uint64_t>(status.st_size),
                  static_cast<std::uint64_t>(status.st_blocks) * kStatBlock);
}

bool set_size(int fd, std::uint64_t size) noexcept {
  return uninterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) == 0;
}

void sync_file(int fd, const std::filesystem::path& path) {
  // A failed fsync is final: the kernel may have dropped the dirty pages, so a second one that
  // succeeds would prove nothing. An interrupted one has dropped nothing.
  if (uninterrupted([&] { return ::fsync(fd); }) != 0) {
    throw system_error("cannot make durable " + path.string(), errno);
  }
}

std::optional<std::string> read_small_file_at(int directory, const std::string& name,
                                              std::size_t limit) {
  const Fd fd(try_open(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if (static_cast<std::uint64_t>(status.st_size) > limit) return std::nullopt;
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  try {
    content.resize(pread_full(fd.get(), std::as_writable_bytes(std::span(content)), 0, name));
  } catch (const Error&) {
    return std::nullopt;
  }
  return content;
}

std::optional<RegularFile> read_regular_file(const std::filesystem::path& file, std::size_t limit) {
  const Fd fd(try_open(AT_FDCWD, file.c_str(), O_RDONLY | O_NONBLOCK));
  const int error = errno;
  if (!fd && (error == ENOENT || error == ENOTDIR)) return std::nullopt;
  if (!fd) throw refusal(std::generic_category().message(error));
  RegularFile found;
  if (::fstat(fd.get(), &found.status) != 0 || !S_ISREG(found.status.st_mode)) {
    throw refusal("it is not a regular file");
  }
  const auto size = static_cast<std::uint64_t>(found.status.st_size);
  found.content = read_up_to(fd.get(), std::min<std::uint64_t>(size, limit), file);
  // A file that grows, or one of /proc, whose status says 0.
  if (found.content.size() > size) found.content = read_up_to(fd.get(), limit, file);
  if (found.content.size() > limit) throw refusal("it is larger than " + mib(limit));
  return found;
}

FileTrust judge_file(mode_t mode, uid_t owner, uid_t user, Holds what) {
  const std::string remedy = what == Holds::secrets ? "chmod 600 it" : "chmod go-w it";
  if ((mode & S_IWOTH) != 0) {
    return {false, "everybody may write it", remedy + ", and look at what it says"};
  }
  if (owner != user && owner != 0) {
    return {user == 0, "it belongs to user " + std::to_string(owner), "use a file of your own"};
  }
  if ((mode & S_IWGRP) != 0) return {true, "its group may write it", remedy};
  if (what == Holds::secrets && (mode & (S_IRGRP | S_IROTH)) != 0) {
    return {true, "others may read it", remedy};
  }
  return {};
}

void require_believed(const struct stat& status) {
  const FileTrust trust = judge_file(status.st_mode, status.st_uid, ::geteuid(), Holds::settings);
  if (!trust.believed) throw Error(ErrorCode::failed, trust.remark, trust.remedy);
}

std::string read_required_file(const std::filesystem::path& file, std::size_t limit,
                               const std::string& context) {
  try {
    auto found = read_regular_file(file, limit);
    if (!found) throw Error(ErrorCode::failed, "No such file or directory");
    require_believed(found->status);
    return std::move(found->content);
  } catch (const Error& error) {
    Error named(ErrorCode::failed, error.message(), error.hint());
    named.add_context(context + " " + file.string());
    throw named;
  }
}

bool try_lock(int fd, LockKind kind, const std::filesystem::path& path) {
  const int operation = (kind == LockKind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  if (uninterrupted([&] { return ::flock(fd, operation); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  throw system_error("cannot lock " + path.string(), errno);
}

std::vector<int> lock_holders(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return {};
  // "1: FLOCK  ADVISORY  READ 1234 fe:01:5678 0 EOF"; "->" stands before those that wait.
  std::ostringstream file;
  file << std::hex << std::setfill('0') << std::setw(2) << major(status.st_dev) << ':'
       << std::setw(2) << minor(status.st_dev) << ':' << std::dec << status.st_ino;
  std::vector<int> holders;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, of;
    int process = 0;
    if (!(words >> number >> kind >> mode >> access >> process >> of)) continue;
    if (kind == "FLOCK" && of == file.str() && process > 0) holders.push_back(process);
  }
  return holders;
}

std::optional<FileLock> FileLock::try_acquire(int directory, const std::string& name,
                                              const std::filesystem::path& path) {
  while (true) {
    Fd fd = open_lock(directory, name, path);
    if (!try_lock(fd.get(), LockKind::exclusive, path)) return std::nullopt;
    // A lock on a file that was removed meanwhile excludes no other process.
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

}  // namespace pyro
