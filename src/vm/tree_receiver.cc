// Writes a tree that a guest sends, and nothing outside of it.
#include "vm/tree_receiver.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "vm/guest_link.h"

namespace pyro {
namespace {

using guest::EntryKind;

constexpr mode_t kPermissions = 0777;
constexpr std::uint64_t kMostEntries = 4'000'000;
constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 30;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::failed, "the guest sent " + what + ": nothing more is taken from it");
}

/// Every part is a plain name.
void check_path(const std::string& path) {
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") refuse("a path that leads elsewhere");
    begin = end + 1;
  }
}

/// Whether a link at `path` to `target` stays in the tree. Upwards it may lead only at first, from
/// where it is: what ".." means after a name depends on whether that is a link.
bool stays_within(const std::string& path, const std::string& target) {
  if (target.empty() || target.front() == '/') return false;
  auto depth = std::ranges::count(path, '/');
  bool named = false;
  for (const auto& part : std::filesystem::path(target)) {
    if (part == "..") {
      if (named || depth-- == 0) return false;
    } else if (part != "." && !part.empty()) {
      named = true;
    }
  }
  return true;
}

bool is_below(const std::string& path, const std::string& directory) {
  return directory.empty() || path.starts_with(directory + '/');
}

Fd open_beneath(int directory, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

void finish_inode(int fd, const guest::EntryPayload& entry) {
  ::fchmod(fd, entry.mode & kPermissions);
  std::array<timespec, 2> times{};  // of access, of modification
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = entry.modified;
  ::futimens(fd, times.data());
}

}  // namespace

TreeReceiver::TreeReceiver(const std::string& to, const std::string& name, Note note)
    : note_(std::move(note)) {
  std::filesystem::path path = std::filesystem::absolute(to).lexically_normal();
  const bool into = to.ends_with('/') || std::filesystem::is_directory(path);
  if (!path.has_filename()) path = path.parent_path();
  if (into && !name.empty()) path /= name;
  path_ = path.string();
  name_ = path.filename().string();
  parent_ = make_and_open_directory(path.parent_path());
}

std::string TreeReceiver::shown(const std::string& path) const {
  return path.empty() ? path_ : path_ + '/' + guest_words(path);
}

TreeReceiver::Place TreeReceiver::place_of(const std::string& path) {
  if (path.empty()) return {Fd(::fcntl(parent_.get(), F_DUPFD_CLOEXEC, 0)), name_};
  check_path(path);
  if (!root_) refuse("something below what is no directory");
  const std::size_t slash = path.rfind('/');
  const std::string above = slash == path.npos ? "." : path.substr(0, slash);
  Fd directory = open_beneath(root_.get(), above, O_RDONLY | O_DIRECTORY);
  if (!directory) throw system_error("cannot open " + shown(above), errno);
  return {std::move(directory), slash == path.npos ? path : path.substr(slash + 1)};
}

// A directory is never removed for something else: it may hold what the user needs.
void TreeReceiver::clear_way(const Place& place) {
  ::unlinkat(place.directory.get(), place.name.c_str(), 0);
}

void TreeReceiver::entry(std::string_view payload) {
  finish_file();
  if (++entries_ > kMostEntries) refuse("more than 4,000,000 files");
  const auto entry = fixed_part<guest::EntryPayload>(payload);
  const std::size_t end = payload.find('\0');
  const std::string path(payload.substr(0, end));
  if (path.empty() != (entries_ == 1)) refuse("a tree without a beginning");
  leave_directories(path);
  switch (entry.kind) {
    case EntryKind::directory:
      return make_directory(path, entry);
    case EntryKind::file:
      return make_file(path, entry);
    case EntryKind::link:
      return make_link(path, std::string(end == payload.npos ? "" : payload.substr(end + 1)));
  }
  refuse("a file of an unknown kind");
}

void TreeReceiver::make_directory(const std::string& path, const guest::EntryPayload& entry) {
  const Place place = place_of(path);
  if (::mkdirat(place.directory.get(), place.name.c_str(), 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make " + shown(path), errno);
  }
  Fd made = open_beneath(place.directory.get(), place.name, O_RDONLY | O_DIRECTORY);
  if (!made) throw system_error("cannot open " + shown(path), errno);
  if (path.empty()) root_ = std::move(made);
  directories_.emplace_back(path, entry);
}

void TreeReceiver::make_file(const std::string& path, const guest::EntryPayload& entry) {
  const Place place = place_of(path);
  clear_way(place);
  file_ = open_at(place.directory.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                  shown(path));
  file_entry_ = entry;
  file_path_ = path;
}

void TreeReceiver::make_link(const std::string& path, const std::string& target) {
  if (path.empty()) refuse("a tree that is a link");
  if (!stays_within(path, target)) {
    return note_(shown(path) + " is a link that leads out of what is copied: left out");
  }
  const Place place = place_of(path);
  clear_way(place);
  if (::symlinkat(target.c_str(), place.directory.get(), place.name.c_str()) != 0) {
    throw system_error("cannot make the link " + shown(path), errno);
  }
}

void TreeReceiver::data(std::string_view bytes) {
  if (!file_) refuse("data that belongs to no file");
  bytes_ += bytes.size();
  if (bytes_ > kMostBytes) refuse("more than 256 GiB");
  write_all(file_.get(), bytes, shown(file_path_));
}

void TreeReceiver::finish_file() {
  if (!file_) return;
  finish_inode(file_.get(), file_entry_);
  file_.reset();
}

void TreeReceiver::finish_directory(const std::string& path, const guest::EntryPayload& entry) {
  const Fd directory = path.empty() ? Fd(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0))
                                    : open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY);
  if (directory) finish_inode(directory.get(), entry);
}

// What is made in a directory changes its time, and its mode may forbid that, so it is finished
// when the guest goes on elsewhere. No more are remembered than a path has parts.
void TreeReceiver::leave_directories(const std::string& path) {
  while (!directories_.empty() && !is_below(path, directories_.back().first)) {
    finish_directory(directories_.back().first, directories_.back().second);
    directories_.pop_back();
  }
}

// From the innermost outwards.
void TreeReceiver::finish() {
  finish_file();
  for (; !directories_.empty(); directories_.pop_back()) {
    finish_directory(directories_.back().first, directories_.back().second);
  }
}

}  // namespace pyro
