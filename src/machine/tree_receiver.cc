// Writes a tree that a guest sends.
#include "machine/tree_receiver.h"

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
#include <limits>

#include "base/directories.h"
#include "base/files.h"
#include "machine/guest_session.h"

namespace pyro {
namespace {

using guest::EntryKind;

constexpr mode_t kPermissions = 0777;
constexpr std::uint32_t kMaxNanoseconds = 999'999'999;
constexpr std::uint64_t kMaxEntries = 4'000'000;
constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 30;
constexpr std::uint64_t kMaxFileSize = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::failed, "the guest sent " + what + ": nothing more is taken from it");
}

/// Refuses paths with empty, "." or ".." parts.
void check_path(const std::string& path) {
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") refuse("a path that leads elsewhere");
    begin = end + 1;
  }
}

/// Whether a link at `path` to `target` stays in the tree. ".." is allowed only in front: after a
/// name its meaning depends on whether that is a link.
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

bool has_zero_byte(std::string_view text) {
  return text.find('\0') != text.npos;
}

/// The texts of an entry, as they are passed to system calls.
struct EntryText {
  std::string path;
  std::string target;  ///< Of a link.
};

EntryText parse_text(std::string_view text, EntryKind kind) {
  EntryText result{std::string(text), {}};
  if (const std::size_t end = text.find('\0'); kind == EntryKind::link && end != text.npos) {
    result = {std::string(text.substr(0, end)), std::string(text.substr(end + 1))};
  }
  if (has_zero_byte(result.path) || has_zero_byte(result.target)) {
    refuse_frame("it sent a name or link target with a zero byte in it");
  }
  return result;
}

bool is_below(const std::string& path, const std::string& directory) {
  return directory.empty() || path.starts_with(directory + '/');
}

std::filesystem::path place_in(const std::string& to, const std::string& name) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(to, error).lexically_normal();
  if (error) throw system_error("cannot write " + to, error.value());
  const bool named_as_directory = !path.has_filename();  // "DIR/", "DIR/."
  if (named_as_directory) path = path.parent_path();
  // If it cannot be read, opening it fails later.
  const bool into = named_as_directory || std::filesystem::is_directory(path, error);
  return into && !name.empty() ? path / name : path;
}

timespec time_of(const guest::EntryPayload& entry) {
  return {entry.modified, static_cast<long>(entry.nanoseconds)};
}

Fd open_beneath(int directory, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

}  // namespace

ReceivedFile::ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown)
    : shown_(shown), holes_(*this, kMaxFileSize) {
  file_.emplace(std::move(directory), std::move(name), mode, std::move(shown));
}

ReceivedFile::ReceivedFile(Fd stream, std::string shown)
    : shown_(std::move(shown)), stream_(std::move(stream)), holes_(*this, kMaxFileSize) {}

void ReceivedFile::write(std::string_view bytes) {
  if (stream_) return write_all(stream_.get(), bytes, shown_);
  holes_.feed(holes_.position(), std::as_bytes(std::span(bytes)), Lifetime::call);
}

void ReceivedFile::write_hole(std::uint64_t size) {
  if (!stream_) {
    if (size > kMaxFileSize - holes_.position()) refuse("a file of more than 8 EiB");
    return holes_.feed(holes_.position() + size, {}, Lifetime::call);
  }
  constexpr std::array<char, 64 << 10> kZeros{};
  for (std::uint64_t left = size; left > 0;) {
    const auto piece = std::min<std::uint64_t>(left, kZeros.size());
    write_all(stream_.get(), {kZeros.data(), piece}, shown_);
    left -= piece;
  }
}

void ReceivedFile::data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime) {
  pwrite_all(file_->descriptor(), bytes, offset, shown_);
}

void ReceivedFile::commit(const timespec& modified) {
  if (stream_) return;
  holes_.finish_here();
  if (!set_size(file_->descriptor(), holes_.position())) {
    throw system_error("cannot write " + shown_, errno);
  }
  const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, modified};  // access, modification
  ::futimens(file_->descriptor(), times.data());
  file_->copy_permissions();
  file_->commit();
}

TreeReceiver::TreeReceiver(const std::string& to, const std::string& name, Note note, Links links,
                           TreeRules* rules)
    : note_(std::move(note)),
      links_(links),
      rules_(rules),
      destination_(open_destination(place_in(to, name))),
      path_(destination_.path.string()) {
  name_ = destination_.path.has_filename() ? destination_.path.filename().string() : ".";
  if (destination_.stream) {
    rules_ = nullptr;
    return;
  }
  const std::filesystem::path parent = destination_.path.parent_path();
  std::error_code none;
  if (rules_ != nullptr) rules_->begin(std::filesystem::weakly_canonical(parent, none) / name_);
  parent_ = make_and_open_directory(parent);
}

std::string TreeReceiver::shown(const std::string& path) const {
  return shortened(path.empty() ? path_ : path_ + '/' + path);
}

TreeReceiver::Place TreeReceiver::place_of(const std::string& path) {
  if (path.empty() && destination_.stream) {
    throw system_error("cannot write " + path_ + " as anything but a file", EEXIST);
  }
  if (path.empty()) return {duplicate(parent_.get()), name_};
  check_path(path);
  if (!root_) refuse("an entry below a file that is not a directory");
  const std::size_t slash = path.rfind('/');
  const std::string above = slash == path.npos ? "." : path.substr(0, slash);
  Fd directory = open_beneath(root_.get(), above, O_RDONLY | O_DIRECTORY);
  if (!directory) throw system_error("cannot open " + shown(above), errno);
  return {std::move(directory), slash == path.npos ? path : path.substr(slash + 1)};
}

void TreeReceiver::entry(std::string_view payload) {
  finish_file();
  if (++entries_ > kMaxEntries) refuse("more than 4,000,000 files");
  const auto entry = fixed_part<guest::EntryPayload>(payload);
  if (entry.nanoseconds > kMaxNanoseconds) refuse_frame("it sent a time that does not exist");
  const auto [path, target] = parse_text(payload, entry.kind);
  if (path.empty() != (entries_ == 1)) refuse("a tree without a beginning");
  leave_directories(path);
  if (!is_wanted(path, entry.kind)) return;
  switch (entry.kind) {
    case EntryKind::directory:
      return make_directory(path, entry);
    case EntryKind::file:
      return make_file(path, entry);
    case EntryKind::link:
      return make_link(path, target);
  }
  refuse("a file of an unknown kind");
}

bool TreeReceiver::is_wanted(const std::string& path, EntryKind kind) {
  if (rules_ == nullptr) return true;
  if (unwanted_ && !is_below(path, *unwanted_)) unwanted_.reset();
  const bool is_wanted = !unwanted_ && rules_->wants(path, kind);
  if (!is_wanted && !unwanted_ && kind == EntryKind::directory) unwanted_ = path;
  drops_data_ = !is_wanted && kind == EntryKind::file;
  return is_wanted;
}

void TreeReceiver::note_written(const std::string& path) {
  if (rules_ != nullptr) rules_->note_written(path);
}

void TreeReceiver::make_directory(const std::string& path, const guest::EntryPayload& entry) {
  const Place place = place_of(path);
  const mode_t mode = (entry.mode & kPermissions) | S_IRWXU;  // until it is full
  const bool made = ::mkdirat(place.directory.get(), place.name.c_str(), mode) == 0;
  if (!made && errno != EEXIST) throw system_error("cannot make " + shown(path), errno);
  Fd directory = open_beneath(place.directory.get(), place.name, O_RDONLY | O_DIRECTORY);
  if (!directory) throw system_error("cannot open " + shown(path), errno);
  if (path.empty()) root_ = std::move(directory);
  directories_.push_back({path, entry, made});
}

void TreeReceiver::make_file(const std::string& path, const guest::EntryPayload& entry) {
  file_path_ = path;
  file_entry_ = entry;
  if (path.empty() && destination_.stream) {
    file_.emplace(std::move(destination_.stream), path_);
    return;
  }
  Place place = place_of(path);
  file_.emplace(std::move(place.directory), std::move(place.name), entry.mode & kPermissions,
                shown(path));
}

// Anything else may hold data of the user, and is an error.
void TreeReceiver::remove_link_or_file(const Place& place) {
  struct stat there {};
  if (::fstatat(place.directory.get(), place.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      (S_ISREG(there.st_mode) || S_ISLNK(there.st_mode))) {
    ::unlinkat(place.directory.get(), place.name.c_str(), 0);
  }
}

void TreeReceiver::make_link(const std::string& path, const std::string& target) {
  if (path.empty()) refuse("a tree that is a link");
  if (links_ == Links::within && !stays_within(path, target)) {
    return note_(shown(path) + " is a link that leads out of the copied tree: left out");
  }
  const Place place = place_of(path);
  remove_link_or_file(place);
  if (::symlinkat(target.c_str(), place.directory.get(), place.name.c_str()) != 0) {
    throw system_error("cannot make the link " + shown(path), errno);
  }
  note_written(path);
}

void TreeReceiver::require_file_for(std::uint64_t bytes) {
  if (!file_ && !drops_data_) refuse("data that belongs to no file");
  bytes_ += bytes;
  if (bytes_ > kMaxBytes) refuse("more than 256 GiB");
}

void TreeReceiver::data(std::string_view bytes) {
  require_file_for(bytes.size());
  if (!drops_data_) file_->write(bytes);
}

void TreeReceiver::hole(std::string_view payload) {
  const std::uint64_t size = fixed_part<guest::HolePayload>(payload).size;
  if (size > guest::kMaxHole) refuse_frame("it sent a hole that is too large");
  require_file_for(0);
  if (!drops_data_) file_->write_hole(size);
}

void TreeReceiver::finish_file() {
  drops_data_ = false;
  if (!file_) return;
  file_->commit(time_of(file_entry_));
  file_.reset();
  note_written(file_path_);
}

void TreeReceiver::finish_directory(const OpenDirectory& directory) {
  if (!directory.made) return;
  const Fd fd = directory.path.empty()
                    ? duplicate(root_.get())
                    : open_beneath(root_.get(), directory.path, O_RDONLY | O_DIRECTORY);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return;
  // Removes the permissions that only the copy needed.
  const mode_t beyond = S_IRWXU & ~static_cast<mode_t>(directory.entry.mode);
  if (beyond != 0) ::fchmod(fd.get(), status.st_mode & ~beyond & ~S_IFMT);
  const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, time_of(directory.entry)};
  ::futimens(fd.get(), times.data());
}

// Time and mode of a directory are set when the guest leaves it: creating a file changes the time,
// and the mode may forbid it. So at most the directories of one path are kept.
void TreeReceiver::leave_directories(const std::string& path) {
  while (!directories_.empty() && !is_below(path, directories_.back().path)) {
    finish_directory(directories_.back());
    directories_.pop_back();
  }
}

// The innermost first.
void TreeReceiver::finish() {
  finish_file();
  for (; !directories_.empty(); directories_.pop_back()) {
    finish_directory(directories_.back());
  }
}

}  // namespace pyro
