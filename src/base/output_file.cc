// Files that are written whole or not at all.
#include "base/output_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "base/directories.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPermissions = 0777;

/// Random, and without the file's own name, which may be as long as names get.
std::string make_temporary_name() {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) {
    throw system_error("cannot get random bytes", errno);
  }
  return ".pyro-" + std::to_string(random) + ".partial";
}

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

Fd open_directory_of(const fs::path& path) {
  try {
    return open_directory(directory_of(path));
  } catch (Error& error) {
    throw error.add_context("cannot write " + path.string());
  }
}

constexpr int kMaxLinks = 40;  // as many as Linux follows

[[noreturn]] void fail(const fs::path& path, int error_number) {
  throw system_error("cannot write " + path.string(), error_number);
}

std::optional<struct stat> look_at(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

/// The number of a link in /proc/self/fd. The text of such a link ("pipe:[123]") is no path.
std::optional<int> own_descriptor(const fs::path& link) {
  std::error_code error;
  if (fs::canonical(link.parent_path(), error) != fs::canonical("/proc/self/fd", error) || error) {
    return std::nullopt;
  }
  const std::string name = link.filename().string();
  int number = -1;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (problem != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

/// Where a chain of links ends: at a path, or at a descriptor of this process.
struct End {
  fs::path path;
  std::optional<int> descriptor = {};
};

End find_end(fs::path path) {
  for (int links = 0; links < kMaxLinks; ++links) {
    const auto status = look_at(path);
    if (!status || !S_ISLNK(status->st_mode)) return {std::move(path)};
    if (const auto number = own_descriptor(path)) return {std::move(path), number};
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error) fail(path, error.value());
    path = path.parent_path() / target;
  }
  fail(path, ELOOP);
}

/// Does not wait for a reader: there may never be one.
Fd open_pipe(const fs::path& path) {
  Fd pipe(try_open(AT_FDCWD, path.c_str(), O_WRONLY | O_NONBLOCK));
  if (!pipe && errno == ENXIO) {
    Error error(ErrorCode::filesystem, "the pipe has no reader");
    throw error.add_context("cannot write " + path.string());
  }
  if (!pipe) fail(path, errno);
  ::fcntl(pipe.get(), F_SETFL, O_WRONLY);
  return pipe;
}

Fd open_stream(const fs::path& path, mode_t mode) {
  if (S_ISFIFO(mode)) return open_pipe(path);
  if (!S_ISCHR(mode) && !S_ISBLK(mode) && !S_ISSOCK(mode)) return {};
  Fd stream(try_open(AT_FDCWD, path.c_str(), O_WRONLY | O_NOCTTY));
  if (!stream) fail(path, errno);
  return stream;
}

}  // namespace

NewFile::NewFile(Fd directory, std::string name, mode_t mode, std::string shown)
    : directory_(std::move(directory)), name_(std::move(name)), shown_(std::move(shown)) {
  // Errors should come before the content is written.
  require_replaceable();
  if (open_without_name(mode)) return;
  temporary_name_ = make_temporary_name();
  file_ = open_at(directory_.get(), temporary_name_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode,
                  shown_);
}

NewFile::~NewFile() {
  if (file_ && !temporary_name_.empty()) ::unlinkat(directory_.get(), temporary_name_.c_str(), 0);
}

void NewFile::fail(int error_number) const {
  throw system_error("cannot write " + shown_, error_number);
}

void NewFile::require_replaceable() const {
  struct stat there {};
  if (name_.empty()) fail(EISDIR);
  if (::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    fail(errno);
  }
  if (S_ISDIR(there.st_mode)) fail(EISDIR);
  if (S_ISREG(there.st_mode) || S_ISLNK(there.st_mode)) return;
  Error error(ErrorCode::filesystem, "it is a device, pipe or socket, which no file replaces");
  throw error.add_context("cannot write " + shown_);
}

// Some file systems have no O_TMPFILE; give_name() needs /proc.
bool NewFile::open_without_name(mode_t mode) {
  if (::access("/proc/self/fd", X_OK) != 0) return false;
  file_ = Fd(try_open(directory_.get(), ".", O_TMPFILE | O_RDWR, mode));
  return static_cast<bool>(file_);
}

void NewFile::copy_permissions() {
  struct stat there {};
  if (::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(there.st_mode)) {
    ::fchmod(file_.get(), there.st_mode & kPermissions);
  }
}

void NewFile::copy_owner() {
  struct stat there {};
  if (::geteuid() == 0 &&
      ::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      ::fchown(file_.get(), there.st_uid, there.st_gid) != 0) {
    throw system_error("cannot give " + shown_ + " back to its owner", errno);
  }
}

bool NewFile::give_name(const std::string& name) {
  const std::string open = "/proc/self/fd/" + std::to_string(file_.get());
  return ::linkat(AT_FDCWD, open.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

void NewFile::commit() {
  require_replaceable();
  if (temporary_name_.empty()) {
    if (give_name(name_)) return;
    if (errno != EEXIST) fail(errno);
    std::string between = make_temporary_name();
    if (!give_name(between)) fail(errno);
    temporary_name_ = std::move(between);
  }
  if (::renameat(directory_.get(), temporary_name_.c_str(), directory_.get(), name_.c_str()) != 0) {
    fail(errno);
  }
  temporary_name_.clear();
}

OutputFile::OutputFile(fs::path path)
    : path_(std::move(path)),
      file_(open_directory_of(path_), path_.filename().string(), 0644, path_.string()) {}

void OutputFile::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = uninterrupted([&] {
      return ::pwrite(descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    if (n < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void OutputFile::commit(std::uint64_t size) {
  if (!set_size(descriptor(), size)) fail(errno);
  file_.copy_permissions();
  file_.copy_owner();
  if (uninterrupted([&] { return ::fsync(descriptor()); }) != 0) fail(errno);
  file_.commit();
  sync_file(file_.directory(), directory_of(path_));
}

void OutputFile::fail(int error_number) const {
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  Error error(ErrorCode::filesystem, std::generic_category().message(error_number),
              full ? "free some space, or write it elsewhere" : "");
  error.add_context("cannot write " + path_.string());
  throw error;
}

void replace_file(const fs::path& path, std::string_view content, mode_t mode) {
  replace_file_at(open_directory(directory_of(path)).get(), path, content, mode);
}

void replace_file_at(int directory, const fs::path& path, std::string_view content, mode_t mode) {
  NewFile file(duplicate(directory), path.filename().string(), mode, path.string());
  write_all(file.descriptor(), content, path);
  file.copy_owner();
  sync_file(file.descriptor(), path);
  file.commit();
  sync_file(file.directory(), directory_of(path));
}

fs::path follow_links(fs::path path) {
  return find_end(std::move(path)).path;
}

Destination open_destination(fs::path path) {
  End end = find_end(std::move(path));
  if (end.descriptor) {
    Fd stream = duplicate(*end.descriptor);
    if (!stream) fail(end.path, errno);
    return {std::move(end.path), std::move(stream)};
  }
  const auto status = look_at(end.path);
  Fd stream = status ? open_stream(end.path, status->st_mode) : Fd();
  return {std::move(end.path), std::move(stream)};
}

Fd duplicate_own_descriptor(fs::path path) {
  const End end = find_end(std::move(path));
  return end.descriptor ? duplicate(*end.descriptor) : Fd();
}

}  // namespace pyro
