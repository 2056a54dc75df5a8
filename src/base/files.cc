// Files and directories by descriptor.
#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "base/whole_calls.h"

namespace pyro {
namespace {

// What else helps depends on what the file is for, which is known further up.
std::string hint_for(int error_number) {
  const bool forbidden = error_number == EACCES || error_number == EPERM;
  return forbidden ? "check the owner and the mode of the directory" : "";
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

Error system_error(std::string what, int error_number) {
  Error error(ErrorCode::filesystem, std::generic_category().message(error_number),
              hint_for(error_number));
  error.add_context(std::move(what));
  return error;
}

Fd open_at(int directory, const std::string& name, int flags, mode_t mode,
           const std::filesystem::path& path) {
  Fd fd(try_open(directory, name.c_str(), flags, mode));
  if (!fd) throw system_error("cannot open " + path.string(), errno);
  return fd;
}

Fd open_directory(const std::filesystem::path& path) {
  return open_at(AT_FDCWD, path.string(), O_RDONLY | O_DIRECTORY, 0, path);
}

Fd try_open_directory(int directory, const std::string& name) noexcept {
  return Fd(try_open(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

Fd make_memory_file(const char* subject) {
  Fd file(::memfd_create("pyro", MFD_CLOEXEC));
  if (!file) throw system_error(std::string("cannot keep ") + subject + " in memory", errno);
  return file;
}

namespace {

// A new name is durable when the directory that holds it is.
void sync_parent(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  sync_file(open_directory(parent).get(), parent);
}

}  // namespace

void make_directories(const std::filesystem::path& path, mode_t mode) {
  // Not std::filesystem's: that gives write permission to everybody the umask does not exclude.
  std::filesystem::path so_far;
  for (const std::filesystem::path& component : path) {
    so_far /= component;
    if (::mkdir(so_far.c_str(), mode) == 0) {
      sync_parent(so_far);
      continue;
    }
    if (errno == EEXIST) continue;
    const int error_number = errno;
    std::error_code error;
    if (std::filesystem::is_directory(so_far, error)) continue;  // one we may only pass through
    throw system_error("cannot make the directory " + path.string(), error_number);
  }
}

Fd make_and_open_directory(const std::filesystem::path& path) {
  make_directories(path);
  return open_directory(path);
}

void sync_file(int fd, const std::filesystem::path& path) {
  // A failed fsync is final: the kernel may have dropped the dirty pages, so a second one that
  // succeeds would prove nothing. One that was interrupted has written nothing off.
  if (uninterrupted([&] { return ::fsync(fd); }) != 0) {
    throw system_error("cannot make durable " + path.string(), errno);
  }
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

std::vector<std::string> directory_names(int directory, const std::filesystem::path& path) {
  // fdopendir takes its descriptor over, and reads from where that stands: give it a new one.
  const int fd = try_open(directory, ".", O_RDONLY | O_DIRECTORY);
  const auto close = [](DIR* stream) { ::closedir(stream); };
  const std::unique_ptr<DIR, decltype(close)> stream(fd < 0 ? nullptr : ::fdopendir(fd), close);
  if (!stream) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (error == ENOENT) return {};  // removed while it was open
    throw system_error("cannot read the directory " + path.string(), error);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

std::vector<std::string> sorted_names(int directory, const std::filesystem::path& path) {
  auto names = directory_names(directory, path);
  std::ranges::sort(names);
  return names;
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

}  // namespace pyro
