// Where a user wants something to be written.
#include "base/destination.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "base/whole_calls.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as Linux follows

[[noreturn]] void fail(const fs::path& path, int error_number) {
  throw system_error("cannot write " + path.string(), error_number);
}

std::optional<struct stat> look_at(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

/// The descriptor that the link is, if it is one of this process. The kernel's text for one
/// ("pipe:[123]") is no path.
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

/// What links lead to in the end, or to the descriptor that the last of them is.
struct End {
  fs::path path;
  std::optional<int> descriptor = {};
};

End find_end(fs::path path) {
  for (int links = 0; links < kMostLinks; ++links) {
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

Fd duplicate(int descriptor) {
  return Fd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
}

/// Waits for no reader: there may never be one.
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
