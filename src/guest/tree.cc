#include "guest/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

namespace pyro::guest {
namespace {

constexpr mode_t kPermissions = 07777;

bool is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

void make_parents(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
    ::mkdir(path.substr(0, end).c_str(), 0755);
  }
}

void refuse(Channel& channel, int error_number, std::string_view what) {
  channel.write_fixed(FrameType::refused, RefusalPayload{error_number}, what);
}

/// Writes entries below a root. After the first failure it only listens.
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
    while (error_ == 0 && file_ >= 0 && !bytes.empty()) {
      const long put = ::write(file_, bytes.data(), bytes.size());
      if (put < 0 && errno != EINTR) error_ = errno;
      if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }

  // From the innermost outwards, as whatever is made in a directory changes its time.
  void finish() {
    finish_file();
    std::ranges::reverse(directories_);
    for (const auto& [path, entry] : directories_) {
      ::chmod(path.c_str(), entry.mode & kPermissions);
      set_time(path, entry.modified);
    }
  }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Directory {
    std::string path;
    EntryPayload entry;
  };

  bool make(const std::string& target) {
    switch (entry_.kind) {
      case EntryKind::directory:
        directories_.push_back({path_, entry_});
        return ::mkdir(path_.c_str(), 0755) == 0 || (errno == EEXIST && is_directory(path_));
      case EntryKind::link:
        ::unlink(path_.c_str());
        return ::symlink(target.c_str(), path_.c_str()) == 0;
      case EntryKind::file:
        file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        return file_ >= 0;
    }
    errno = EINVAL;
    return false;
  }

  void finish_file() {
    if (file_ < 0) return;
    ::fchmod(file_, entry_.mode & kPermissions);
    ::close(file_);
    file_ = -1;
    set_time(path_, entry_.modified);
  }

  static void set_time(const std::string& path, std::int64_t modified) {
    timespec times[2] = {};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = modified;
    ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }

  std::string root_;
  std::string path_;
  EntryPayload entry_;
  int file_ = -1;
  int error_ = 0;
  std::vector<Directory> directories_;
};

/// Sends entries below a root.
class TreeReader {
 public:
  TreeReader(Channel& channel, std::string_view root) : channel_(channel), root_(root) {}

  /// The first failure, with path() where it was.
  int read() {
    struct stat root {};
    if (::stat(root_.c_str(), &root) != 0) return errno;
    const int error = visit("", root);
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
    entry.modified = found.st_mtime;
    entry.mode = static_cast<std::uint16_t>(found.st_mode & kPermissions);
    entry.kind = kind;
    channel_.write_fixed(FrameType::entry, entry, path + rest);
  }

  int send_file(const std::string& path, const struct stat& found) {
    const int file = ::open(absolute(path).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail(path, errno);
    send_entry(EntryKind::file, path, found);
    long got = 0;
    while ((got = channel_.forward(FrameType::data, file)) > 0) {
    }
    const int error = got < 0 ? fail(path, errno) : 0;
    ::close(file);
    return error;
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
    int error = 0;
    while (error == 0) {
      const dirent* const entry = ::readdir(directory);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") error = visit_child(path, name);
    }
    ::closedir(directory);
    return error;
  }

  int visit_child(const std::string& path, const std::string& name) {
    const std::string child = path.empty() ? name : path + '/' + name;
    struct stat found {};
    if (::lstat(absolute(child).c_str(), &found) != 0) return fail(child, errno);
    return visit(child, found);
  }

  Channel& channel_;
  const std::string root_;
  std::string failed_ = root_;
};

}  // namespace

void put_tree(Channel& channel, std::string_view payload) {
  const std::size_t end = payload.find('\0');
  std::string root(payload.substr(0, end));
  const std::string name(end == payload.npos ? "" : payload.substr(end + 1));
  if (is_directory(root) || root.ends_with('/')) root += '/' + name;
  TreeWriter writer(root);
  for (;;) {
    const Frame frame = channel.read();
    if (frame.type == FrameType::tree_end) break;
    if (frame.type == FrameType::entry) writer.entry(frame.payload);
    if (frame.type == FrameType::data) writer.data(frame.payload);
  }
  writer.finish();
  if (writer.error() != 0) return refuse(channel, writer.error(), writer.path());
  channel.write(FrameType::done);
}

void get_tree(Channel& channel, std::string_view path) {
  TreeReader reader(channel, path);
  if (const int error = reader.read()) return refuse(channel, error, reader.path());
  channel.write(FrameType::done);
}

}  // namespace pyro::guest
