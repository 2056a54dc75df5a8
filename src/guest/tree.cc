// Copies of files and trees into the guest and out of it.
#include "guest/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

/// Sends entries below a root.
class TreeReader {
 public:
  TreeReader(Channel& channel, std::string_view root) : channel_(channel), root_(root) {}

  /// Returns the first error, which is of path().
  int read() {
    struct stat root {};
    if (::stat(root_.c_str(), &root) != 0) return errno;
    int error = visit("", root);
    while (error == 0 && !ahead_.empty()) {
      const std::string path = std::move(ahead_.back());
      ahead_.pop_back();
      error = visit(path);
    }
    channel_.write(FrameType::tree_end);
    return error;
  }

  [[nodiscard]] const std::string& path() const { return failed_; }

 private:
  [[nodiscard]] std::string absolute(const std::string& path) const {
    return path.empty() ? root_ : root_ + '/' + path;
  }

  int fail(const std::string& path, int error) {
    failed_ = absolute(path);
    return error;
  }

  int visit(const std::string& path, const struct stat& found) {
    if (S_ISREG(found.st_mode)) return send_file(path, found);
    if (S_ISDIR(found.st_mode)) return send_directory(path, found);
    if (S_ISLNK(found.st_mode)) return send_link(path, found);
    channel_.write(FrameType::left_out, absolute(path));
    return 0;
  }

  void send_entry(EntryKind kind, const std::string& path, const struct stat& found,
                  const std::string& rest = {}) {
    EntryPayload entry;
    entry.modified = found.st_mtim.tv_sec;
    entry.nanoseconds = static_cast<std::uint32_t>(found.st_mtim.tv_nsec);
    entry.mode = static_cast<std::uint16_t>(found.st_mode & kPermissions);
    entry.kind = kind;
    channel_.write_fixed(FrameType::entry, entry, path + rest);
  }

  int send_file(const std::string& path, const struct stat& found) {
    const Descriptor file(::open(absolute(path).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return fail(path, errno);
    send_entry(EntryKind::file, path, found);
    long got = 0;
    while ((got = channel_.forward(FrameType::data, file.get())) > 0) {
    }
    return got < 0 ? fail(path, errno) : 0;
  }

  int send_link(const std::string& path, const struct stat& found) {
    char target[4096];
    const long size = ::readlink(absolute(path).c_str(), target, sizeof target);
    if (size < 0) return fail(path, errno);
    send_entry(EntryKind::link, path, found,
               '\0' + std::string(target, static_cast<std::size_t>(size)));
    return 0;
  }

  int send_directory(const std::string& path, const struct stat& found) {
    send_entry(EntryKind::directory, path, found);
    DIR* const directory = ::opendir(absolute(path).c_str());
    if (directory == nullptr) return fail(path, errno);
    while (const dirent* const entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") ahead_.push_back(path.empty() ? name : path + '/' + name);
    }
    ::closedir(directory);
    return 0;
  }

  int visit(const std::string& path) {
    struct stat found {};
    if (::lstat(absolute(path).c_str(), &found) != 0) return fail(path, errno);
    return visit(path, found);
  }

  Channel& channel_;
  const std::string root_;
  std::string failed_ = root_;
  /// Paths to visit, the next one last: the content of a directory comes before its siblings,
  /// on a stack and with descriptors that do not grow with the depth.
  std::vector<std::string> ahead_;
};

bool is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

void make_parents(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
    ::mkdir(path.substr(0, end).c_str(), 0755);
  }
}

/// Writes entries below a root. Existing entries keep their mode and owner, and directories their
/// time.
/// After the first failure it ignores the rest.
class TreeWriter {
 public:
  explicit TreeWriter(std::string root) : root_(std::move(root)) { make_parents(root_); }

  void entry(std::string_view payload) {
    finish_file();
    if (error_ != 0) return;
    entry_ = fixed_part<EntryPayload>(payload);
    const std::size_t end = payload.find('\0');
    path_ = root_;
    if (end != 0 && !payload.empty()) path_ += '/' + std::string(payload.substr(0, end));
    const std::string target(end == payload.npos ? "" : payload.substr(end + 1));
    if (!make(target)) error_ = errno;
  }

  void data(std::string_view bytes) {
    while (error_ == 0 && file_.is_open() && !bytes.empty()) {
      const long put = ::write(file_.get(), bytes.data(), bytes.size());
      if (put < 0 && errno != EINTR) error_ = errno;
      if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }

  // The innermost first, as creating a file changes the time of its directory.
  void finish() {
    finish_file();
    std::ranges::reverse(directories_);
    for (const auto& [path, entry] : directories_) {
      ::chmod(path.c_str(), entry.mode & kPermissions);
      set_time(path, entry);
    }
  }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Directory {  // that was made for the copy
    std::string path;
    EntryPayload entry;
  };

  bool make(const std::string& target) {
    switch (entry_.kind) {
      case EntryKind::directory:
        return make_directory();
      case EntryKind::link:
        ::unlink(path_.c_str());
        return ::symlink(target.c_str(), path_.c_str()) == 0;
      case EntryKind::file:
        return make_file();
    }
    errno = EINVAL;
    return false;
  }

  bool make_directory() {
    if (::mkdir(path_.c_str(), 0755) != 0) return errno == EEXIST && is_directory(path_);
    directories_.push_back({path_, entry_});
    return true;
  }

  bool make_file() {
    file_.set(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    is_new_ = file_.is_open();
    if (!is_new_ && errno == EEXIST) {
      file_.set(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    }
    return file_.is_open();
  }

  void finish_file() {
    if (!file_.is_open()) return;
    if (is_new_) ::fchmod(file_.get(), entry_.mode & kPermissions);
    file_.close();
    set_time(path_, entry_);
  }

  static void set_time(const std::string& path, const EntryPayload& entry) {
    timespec times[2] = {};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = entry.modified;
    times[1].tv_nsec = static_cast<long>(entry.nanoseconds);
    ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }

  std::string root_;
  std::string path_;
  EntryPayload entry_;
  Descriptor file_;
  bool is_new_ = false;
  int error_ = 0;
  std::vector<Directory> directories_;
};

}  // namespace

void get_tree(Channel& channel, std::string_view path) {
  TreeReader reader(channel, path);
  if (const int error = reader.read()) {
    return channel.write_fixed(FrameType::refused, RefusalPayload{error}, reader.path());
  }
  channel.write(FrameType::done);
}

void put_tree(Channel& channel, std::string_view payload) {
  const std::size_t end = payload.find('\0');
  std::string root(payload.substr(0, end));
  const std::string name(end == payload.npos ? "" : payload.substr(end + 1));
  if (is_directory(root) || root.ends_with('/')) root += '/' + name;
  TreeWriter writer(root);
  bool refused = false;
  for (Frame frame = channel.read(); frame.type != FrameType::tree_end; frame = channel.read()) {
    if (frame.type == FrameType::entry) writer.entry(frame.payload);
    if (frame.type == FrameType::data) writer.data(frame.payload);
    if (writer.error() == 0 || refused) continue;
    // At once, as the rest may be long.
    channel.write_fixed(FrameType::refused, RefusalPayload{writer.error()}, writer.path());
    refused = true;
  }
  writer.finish();
  if (!refused) channel.write(FrameType::done);
}

}  // namespace pyro::guest
