// A tree, copied out of the guest.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "guest/descriptor.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

/// Sends entries below a root.
class TreeReader {
 public:
  TreeReader(Channel& channel, std::string_view root) : channel_(channel), root_(root) {}

  /// The first failure, with path() where it was.
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
  /// Still to be visited, the next one last: what is in a directory comes before what is beside it,
  /// on a stack and with descriptors that do not grow with the depth.
  std::vector<std::string> ahead_;
};

}  // namespace

void get_tree(Channel& channel, std::string_view path) {
  TreeReader reader(channel, path);
  if (const int error = reader.read()) {
    return channel.write_fixed(FrameType::refused, RefusalPayload{error}, reader.path());
  }
  channel.write(FrameType::done);
}

}  // namespace pyro::guest
