// Copies of files and trees into the guest and out of it.
#include "guest/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/user.h"

namespace pyro::guest {
namespace {

/// Sends entries below a root, within the window of the host.
class GetTask : public SendingTask {
 public:
  GetTask(Channel& channel, std::uint16_t session, std::string_view root)
      : SendingTask(channel, session), root_(root) {
    struct stat found {};
    if (::stat(root_.c_str(), &found) == 0)
      visit("", found);
    else
      fail("", errno);
  }

  /// These entries alone, each behind the directory that it is in.
  GetTask(Channel& channel, std::uint16_t session, std::string root, std::vector<std::string> paths)
      : SendingTask(channel, session),
        root_(std::move(root)),
        descends_(false),
        ahead_(std::move(paths)) {
    std::ranges::reverse(ahead_);
    ahead_.emplace_back();
  }

 private:
  [[nodiscard]] std::string absolute(const std::string& path) const {
    return path.empty() ? root_ : root_ + '/' + path;
  }

  void fail(const std::string& path, int error) {
    writer_.write_fixed(FrameType::refused, RefusalPayload{error}, absolute(path));
    end();
  }

  void step() override {
    if (file_.is_open()) return send_piece();
    if (ahead_.empty()) {
      writer_.write(FrameType::tree_end);
      writer_.write(FrameType::done);
      return end();
    }
    const std::string path = std::move(ahead_.back());
    ahead_.pop_back();
    struct stat found {};
    if (::lstat(absolute(path).c_str(), &found) != 0) return fail(path, errno);
    visit(path, found);
  }

  void visit(const std::string& path, const struct stat& found) {
    if (S_ISREG(found.st_mode)) return send_file(path, found);
    if (S_ISDIR(found.st_mode)) return send_directory(path, found);
    if (S_ISLNK(found.st_mode)) return send_link(path, found);
    writer_.write(FrameType::left_out, absolute(path));
  }

  void send_entry(EntryKind kind, const std::string& path, const struct stat& found,
                  const std::string& rest = {}) {
    EntryPayload entry;
    entry.modified = found.st_mtim.tv_sec;
    entry.nanoseconds = static_cast<std::uint32_t>(found.st_mtim.tv_nsec);
    entry.mode = static_cast<std::uint16_t>(found.st_mode & kPermissions);
    entry.kind = kind;
    writer_.write_fixed(FrameType::entry, entry, path + rest);
  }

  void send_file(const std::string& path, const struct stat& found) {
    file_.set(::open(absolute(path).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_.is_open()) return fail(path, errno);
    file_path_ = path;
    position_ = 0;
    const bool may_have_holes = found.st_blocks * 512 < found.st_size;
    data_end_ = may_have_holes ? 0 : kUnknownEnd;
    send_entry(EntryKind::file, path, found);
  }

  void send_piece() {
    if (position_ == data_end_) {
      skip_hole();
      if (position_ == data_end_) return;  // there is more of it
    }
    const auto most = std::min<off_t>(kStreamPiece, data_end_ - position_);
    const long got = writer_.forward(FrameType::data, file_.get(), static_cast<std::size_t>(most));
    if (got > 0) {
      position_ += got;
      return;
    }
    const int error = errno;
    file_.close();
    if (got < 0) fail(file_path_, error);
  }

  void skip_hole() {
    off_t data = ::lseek(file_.get(), position_, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = ::lseek(file_.get(), 0, SEEK_END);  // no more data
    if (data > position_) {
      const auto size = std::min(static_cast<std::uint64_t>(data - position_), kMaxHole);
      writer_.write_fixed(FrameType::hole, HolePayload{size});
      data_end_ = position_ += static_cast<off_t>(size);
      return;
    }
    const off_t hole = ::lseek(file_.get(), position_, SEEK_HOLE);
    data_end_ = hole > position_ ? hole : kUnknownEnd;
    ::lseek(file_.get(), position_, SEEK_SET);
  }

  void send_link(const std::string& path, const struct stat& found) {
    const std::string target = target_of(absolute(path));
    if (target.empty()) return fail(path, errno);
    send_entry(EntryKind::link, path, found, '\0' + target);
  }

  void send_directory(const std::string& path, const struct stat& found) {
    send_entry(EntryKind::directory, path, found);
    if (!descends_) return;
    const auto names = names_in(absolute(path));
    if (names.empty() && errno != 0) return fail(path, errno);
    for (const std::string& name : names) {
      ahead_.push_back(path.empty() ? name : path + '/' + name);
    }
  }

  static constexpr off_t kUnknownEnd = std::numeric_limits<off_t>::max();

  const std::string root_;
  const bool descends_ = true;
  /// Paths to visit, the next one last: the content of a directory comes before its siblings,
  /// on a stack and with descriptors that do not grow with the depth.
  std::vector<std::string> ahead_;
  Descriptor file_;  ///< That is being sent.
  std::string file_path_;
  off_t position_ = 0;
  off_t data_end_ = 0;  ///< The start of its next hole.
};

/// The order in which a tree is sent: what is in a directory comes right behind it.
struct DirectoriesFirst {
  bool operator()(const std::string& one, const std::string& other) const {
    return std::lexicographical_compare(
        one.begin(), one.end(), other.begin(), other.end(),
        [](char a, char b) { return (a == '/' ? '\0' : a) < (b == '/' ? '\0' : b); });
  }
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

/// Who owns what is new.
struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
  [[nodiscard]] bool is_root() const { return uid == 0 && gid == 0; }
};

/// That of kWorkspace for what is in it.
Owner owner_in(const std::string& root) {
  struct stat found {};
  const bool is_in_workspace =
      root == kWorkspace || root.rfind(std::string(kWorkspace) + '/', 0) == 0;
  if (!is_in_workspace || ::stat(kWorkspace, &found) != 0) return {};
  return {found.st_uid, found.st_gid};
}

/// Writes entries below a root. Existing entries keep their mode and owner, and directories their
/// time.
/// After the first failure it ignores the rest.
class TreeWriter {
 public:
  TreeWriter(std::string root, Owner owner) : root_(std::move(root)), owner_(owner) {
    make_parents(root_);
  }

  void entry(std::string_view payload) {
    finish_file();
    if (error_ != 0) return;
    entry_ = fixed_part<EntryPayload>(payload);
    const std::size_t end = payload.find('\0');
    path_ = root_;
    name_ = 0;
    if (end != 0 && !payload.empty()) enter(payload.substr(0, end));
    const std::string target(end == payload.npos ? "" : payload.substr(end + 1));
    if (!make(target)) error_ = errno;
  }

  void data(std::string_view bytes) {
    while (error_ == 0 && file_.is_open() && !bytes.empty()) {
      const long put = ::write(file_.get(), bytes.data(), bytes.size());
      if (put < 0 && errno != EINTR) error_ = errno;
      if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
      ends_with_hole_ = false;
    }
  }

  void hole(std::uint64_t size) {
    if (error_ != 0 || !file_.is_open()) return;
    if (::lseek(file_.get(), static_cast<off_t>(size), SEEK_CUR) < 0) error_ = errno;
    ends_with_hole_ = true;
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

  /// Sets the path to the entry `below` the root. Most entries are in the directory of the last
  /// one, which stays open: the kernel then looks up one name instead of the whole path.
  void enter(std::string_view below) {
    path_ += '/' + std::string(below);
    const std::size_t slash = path_.rfind('/');
    const std::string_view parent = std::string_view(path_).substr(0, slash);
    if (!parent_.is_open() || parent_path_ != parent) {
      parent_path_ = parent;
      parent_.set(::open(parent_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    if (parent_.is_open()) name_ = slash + 1;
  }

  /// The directory and the name there of the entry.
  [[nodiscard]] int directory() const { return name_ == 0 ? AT_FDCWD : parent_.get(); }
  [[nodiscard]] const char* name() const { return path_.c_str() + name_; }

  bool make(const std::string& target) {
    switch (entry_.kind) {
      case EntryKind::directory:
        return make_directory();
      case EntryKind::link:
        ::unlinkat(directory(), name(), 0);
        return ::symlinkat(target.c_str(), directory(), name()) == 0 && give_to_owner();
      case EntryKind::file:
        return make_file();
    }
    errno = EINVAL;
    return false;
  }

  bool make_directory() {
    if (::mkdirat(directory(), name(), 0755) != 0) return errno == EEXIST && is_directory(path_);
    directories_.push_back({path_, entry_});
    return give_to_owner();
  }

  /// The new entry.
  bool give_to_owner() {
    return owner_.is_root() ||
           ::fchownat(directory(), name(), owner_.uid, owner_.gid, AT_SYMLINK_NOFOLLOW) == 0;
  }

  // Most modes pass the umask as they are, and save a system call.
  bool make_file() {
    file_.set(::openat(directory(), name(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                       entry_.mode & kPermissions));
    is_new_ = file_.is_open();
    ends_with_hole_ = false;
    if (!is_new_ && errno == EEXIST) {
      file_.set(::openat(directory(), name(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    }
    return file_.is_open() && (!is_new_ || give_to_owner());
  }

  void finish_file() {
    if (!file_.is_open()) return;
    if (ends_with_hole_ && error_ == 0 &&
        ::ftruncate(file_.get(), ::lseek(file_.get(), 0, SEEK_CUR)) != 0) {
      error_ = errno;
    }
    constexpr mode_t kMasked = 07022;
    if (is_new_ && (entry_.mode & kMasked) != 0) ::fchmod(file_.get(), entry_.mode & kPermissions);
    const Times times(entry_);
    ::futimens(file_.get(), times.values);
    file_.close();
  }

  struct Times {
    explicit Times(const EntryPayload& entry) {
      values[0].tv_nsec = UTIME_OMIT;
      values[1].tv_sec = entry.modified;
      values[1].tv_nsec = static_cast<long>(entry.nanoseconds);
    }
    timespec values[2] = {};
  };

  static void set_time(const std::string& path, const EntryPayload& entry) {
    const Times times(entry);
    ::utimensat(AT_FDCWD, path.c_str(), times.values, AT_SYMLINK_NOFOLLOW);
  }

  std::string root_;
  const Owner owner_;
  std::string path_;
  std::size_t name_ = 0;  ///< Where the name begins in `path_`, if its directory is open.
  std::string parent_path_;
  Descriptor parent_;
  EntryPayload entry_;
  Descriptor file_;
  bool is_new_ = false;
  bool ends_with_hole_ = false;
  int error_ = 0;
  std::vector<Directory> directories_;
};

class PutTask : public Task {
 public:
  /// `complete`: as of start_put_to().
  PutTask(Channel& channel, std::uint16_t session, std::string root, Owner owner,
          std::function<int(int error)> complete)
      : Task(channel, session), tree_(std::move(root), owner), complete_(std::move(complete)) {}
  // The host may give up in the middle.
  ~PutTask() override {
    if (!has_ended()) complete_(ECANCELED);
  }

  void obey(FrameType type, std::string_view payload) override {
    if (type == FrameType::entry) tree_.entry(payload);
    if (type == FrameType::data) tree_.data(payload);
    if (type == FrameType::hole) tree_.hole(fixed_part<HolePayload>(payload).size);
    if (type == FrameType::tree_end) tree_.finish();
    int error = tree_.error();
    if (error == 0 && type != FrameType::tree_end) return;
    error = complete_(error);
    if (error != 0) {
      // At once, as the rest may be long.
      writer_.write_fixed(FrameType::refused, RefusalPayload{error}, tree_.path());
    } else {
      writer_.write(FrameType::done);
    }
    end();
  }

 private:
  TreeWriter tree_;
  const std::function<int(int error)> complete_;
};

}  // namespace

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* const stream = ::opendir(directory.c_str());
  if (stream == nullptr) return names;
  while (const dirent* const entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  errno = 0;
  return names;
}

std::string target_of(const std::string& link) {
  char target[4096];
  const long size = ::readlink(link.c_str(), target, sizeof target);
  return {target, static_cast<std::size_t>(std::max(size, 0L))};
}

// So that other sessions have their turn.
void SendingTask::go_on(const pollfd (&)[kMaxWatched]) {
  constexpr int kMostSteps = 64;
  for (int i = 0; i < kMostSteps && writer_.has_window() && !has_ended(); ++i) step();
}

std::unique_ptr<Task> start_get(Channel& channel, std::uint16_t session, std::string_view path) {
  return std::make_unique<GetTask>(channel, session, path);
}

std::unique_ptr<Task> start_put(Channel& channel, std::uint16_t session, std::string_view payload) {
  const std::size_t end = payload.find('\0');
  std::string root(payload.substr(0, end));
  const std::string name(end == payload.npos ? "" : payload.substr(end + 1));
  if (is_directory(root) || root.ends_with('/')) root += '/' + name;
  return start_put_to(channel, session, std::move(root), [](int error) { return error; });
}

std::unique_ptr<Task> start_put_to(Channel& channel, std::uint16_t session, std::string root,
                                   std::function<int(int error)> complete) {
  const Owner owner = owner_in(root);
  return std::make_unique<PutTask>(channel, session, std::move(root), owner, std::move(complete));
}

// Commands tell that there is no such user.
std::unique_ptr<Task> start_seed(Channel& channel, std::uint16_t session, const std::string& user) {
  const User found = find_user(user).value_or(User());
  return std::make_unique<PutTask>(
      channel, session, path_in_layer(kSeedLayer), Owner{found.uid, found.gid},
      [](int error) { return error != 0 ? error : mount_workspace(); });
}

std::unique_ptr<Task> start_get_of(Channel& channel, std::uint16_t session, std::string root,
                                   std::vector<std::string> paths) {
  std::set<std::string, DirectoriesFirst> all;
  for (std::string& path : paths) {
    for (std::size_t end = path.find('/'); end != path.npos; end = path.find('/', end + 1)) {
      all.insert(path.substr(0, end));
    }
    all.insert(std::move(path));
  }
  return std::make_unique<GetTask>(channel, session, std::move(root),
                                   std::vector<std::string>(all.begin(), all.end()));
}

}  // namespace pyro::guest
