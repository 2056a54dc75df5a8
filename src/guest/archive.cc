// The whole system of a workspace as a tar, which becomes an environment.
//
// Sources: POSIX.1-2017, pax, ustar Interchange Format and extended headers; star(5) for
// SCHILY.xattr.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

constexpr std::size_t kBlock = 512;

struct TarHeader {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[8];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char rest[12];
};
static_assert(sizeof(TarHeader) == kBlock);

/// Octal digits, and a zero byte. False for a number that is too large.
template <std::size_t size>
bool write_number(char (&field)[size], std::uint64_t number) {
  const bool fits = number >> (3 * (size - 1)) == 0;
  std::snprintf(field, size, "%0*llo", static_cast<int>(size - 1),
                static_cast<unsigned long long>(fits ? number : 0));
  return fits;
}

/// False for a text that is too long.
template <std::size_t size>
bool write_text(char (&field)[size], std::string_view text) {
  std::memcpy(field, text.data(), std::min(text.size(), size));
  return text.size() <= size;
}

std::string padding_for(std::uint64_t size) {
  return std::string((kBlock - size % kBlock) % kBlock, '\0');
}

std::string block_of(TarHeader& header) {
  std::memset(header.checksum, ' ', sizeof header.checksum);
  std::memcpy(header.magic, "ustar\00000", sizeof header.magic);
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof header);
  unsigned sum = 0;
  for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  std::snprintf(header.checksum, sizeof header.checksum, "%06o", sum);
  return std::string(bytes);
}

/// The records of an extended header.
class ExtendedHeader {
 public:
  void add(const std::string& key, const std::string& value) {
    // The size counts its own digits.
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t size = rest + 1;
    while (std::to_string(size).size() + rest != size) ++size;
    records_ += std::to_string(size) + ' ' + key + '=' + value + '\n';
  }

  /// Empty without records.
  [[nodiscard]] std::string bytes() const {
    if (records_.empty()) return {};
    TarHeader header{};
    write_text(header.name, "pax");
    write_number(header.mode, 0644);
    write_number(header.uid, 0);
    write_number(header.gid, 0);
    write_number(header.size, records_.size());
    write_number(header.mtime, 0);
    header.type = 'x';
    return block_of(header) + records_ + padding_for(records_.size());
  }

 private:
  std::string records_;
};

char type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return '0';
    case S_IFLNK:
      return '2';
    case S_IFCHR:
      return '3';
    case S_IFBLK:
      return '4';
    case S_IFDIR:
      return '5';
    case S_IFIFO:
      return '6';
    default:
      return 0;  // a socket
  }
}

void add_attributes(const std::string& path, ExtendedHeader& extended) {
  const long size = ::llistxattr(path.c_str(), nullptr, 0);
  if (size <= 0) return;
  std::string names(static_cast<std::size_t>(size), '\0');
  names.resize(static_cast<std::size_t>(
      std::max(::llistxattr(path.c_str(), names.data(), names.size()), 0L)));
  for (std::size_t begin = 0; begin < names.size();) {
    const std::string name = names.c_str() + begin;
    begin += name.size() + 1;
    const long length = ::lgetxattr(path.c_str(), name.c_str(), nullptr, 0);
    if (length < 0) continue;
    std::string value(static_cast<std::size_t>(length), '\0');
    const long got = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (got == length) extended.add("SCHILY.xattr." + name, value);
  }
}

std::string time_text(const timespec& time) {
  char text[64];
  std::snprintf(text, sizeof text, "%lld.%09ld", static_cast<long long>(time.tv_sec), time.tv_nsec);
  return text;
}

class ArchiveTask : public SendingTask {
 public:
  ArchiveTask(Channel& channel, std::uint16_t session) : SendingTask(channel, session) {
    struct stat root {};
    if (::stat("/", &root) == 0) root_device_ = root.st_dev;
    if (::stat(kWorkspace, &root) == 0) workspace_device_ = root.st_dev;
    ahead_.emplace_back(".");
  }

 private:
  using Link = std::pair<dev_t, ino_t>;

  void step() override {
    if (!pending_.empty()) return send_pending();
    if (file_.is_open()) return send_piece();
    if (is_complete_) {
      writer_.write(FrameType::done);
      return end();
    }
    if (ahead_.empty()) {
      is_complete_ = true;
      pending_.assign(2 * kBlock, '\0');
      return;
    }
    const std::string path = std::move(ahead_.back());
    ahead_.pop_back();
    visit(path);
  }

  void send_pending() {
    const std::size_t size = std::min(pending_.size() - sent_, kStreamPiece);
    writer_.write(FrameType::data, std::string_view(pending_).substr(sent_, size));
    sent_ += size;
    if (sent_ < pending_.size()) return;
    pending_.clear();
    sent_ = 0;
  }

  /// `path`: "." or "./etc/passwd".
  static std::string absolute(const std::string& path) {
    return path == "." ? "/" : path.substr(1);
  }

  // What is gone meanwhile is left out.
  void visit(const std::string& path) {
    struct stat found {};
    const std::string place = absolute(path);
    if (::lstat(place.c_str(), &found) != 0 || type_of(found.st_mode) == 0) return;
    if (is_own_file(place.substr(1)) || is_whiteout(found)) return;
    const bool is_directory = S_ISDIR(found.st_mode);
    std::string target = S_ISLNK(found.st_mode) ? target_of(place) : std::string();
    const bool is_linked = !is_directory && found.st_nlink > 1;
    const auto first = is_linked ? links_.find({found.st_dev, found.st_ino}) : links_.end();
    if (first != links_.end()) return add_entry(path, found, '1', first->second);
    if (S_ISREG(found.st_mode)) {
      file_.set(::open(place.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file_.is_open()) return refuse(place, errno);
      place_ = place;
      size_ = left_ = static_cast<std::uint64_t>(found.st_size);
    }
    if (is_linked) links_.emplace(Link{found.st_dev, found.st_ino}, path);
    add_entry(path, found, type_of(found.st_mode), target);
    if (is_directory && is_of_system(found)) add_content(path);
  }

  /// Of an overlay.
  static bool is_whiteout(const struct stat& found) {
    return S_ISCHR(found.st_mode) && found.st_rdev == 0;
  }

  /// Other file systems are the machine's.
  [[nodiscard]] bool is_of_system(const struct stat& found) const {
    return found.st_dev == root_device_ || found.st_dev == workspace_device_;
  }

  void refuse(const std::string& place, int error) {
    writer_.write_fixed(FrameType::refused, RefusalPayload{error}, place);
    end();
  }

  void add_content(const std::string& path) {
    for (const std::string& name : names_in(absolute(path))) ahead_.push_back(path + '/' + name);
  }

  void add_entry(const std::string& path, const struct stat& found, char type,
                 const std::string& target) {
    const std::uint64_t size = type == '0' ? size_ : 0;
    TarHeader header{};
    ExtendedHeader extended;
    header.type = type;
    if (!write_text(header.name, path)) extended.add("path", path);
    if (!write_text(header.link, target)) extended.add("linkpath", target);
    write_number(header.mode, found.st_mode & kPermissions);
    if (!write_number(header.uid, found.st_uid)) {
      extended.add("uid", std::to_string(found.st_uid));
    }
    if (!write_number(header.gid, found.st_gid)) {
      extended.add("gid", std::to_string(found.st_gid));
    }
    if (!write_number(header.size, size)) extended.add("size", std::to_string(size));
    const bool is_whole = found.st_mtim.tv_nsec == 0 && found.st_mtim.tv_sec >= 0;
    const bool fits =
        is_whole && write_number(header.mtime, static_cast<std::uint64_t>(found.st_mtim.tv_sec));
    if (!fits) {
      write_number(header.mtime, 0);
      extended.add("mtime", time_text(found.st_mtim));
    }
    write_number(header.major, major(found.st_rdev));
    write_number(header.minor, minor(found.st_rdev));
    if (type != '1') add_attributes(absolute(path), extended);
    pending_ = extended.bytes() + block_of(header);
  }

  // As many bytes as the header says, whatever becomes of the file.
  void send_piece() {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(kStreamPiece, left_));
    const long got = most == 0 ? 0 : writer_.forward(FrameType::data, file_.get(), most);
    if (got < 0) return refuse(place_, errno);
    left_ -= static_cast<std::uint64_t>(got);
    if (got > 0) return;
    if (left_ > 0) {
      pending_.assign(std::min<std::uint64_t>(left_, kStreamPiece), '\0');
      left_ -= pending_.size();
      return;
    }
    file_.close();
    pending_ = padding_for(size_);
  }

  dev_t root_device_ = 0;
  dev_t workspace_device_ = 0;
  std::vector<std::string> ahead_;  ///< Paths to visit, the next one last.
  std::map<Link, std::string> links_;
  std::string pending_;   ///< What comes before anything else.
  std::size_t sent_ = 0;  ///< Of that.
  Descriptor file_;       ///< That is being sent.
  std::string place_;
  std::uint64_t size_ = 0;
  std::uint64_t left_ = 0;
  bool is_complete_ = false;
};

}  // namespace

std::unique_ptr<Task> start_archive(Channel& channel, std::uint16_t session) {
  return std::make_unique<ArchiveTask>(channel, session);
}

}  // namespace pyro::guest
