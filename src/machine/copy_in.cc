// Copies a file or tree from the host into a guest.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "base/directories.h"
#include "base/files.h"
#include "base/output_file.h"
#include "machine/guest_requests.h"

namespace pyro {
namespace {

using guest::EntryKind;
using guest::FrameType;

constexpr mode_t kPermissions = 0777;

[[noreturn]] void fail(GuestFrame answer) {
  if (answer.type != FrameType::refused) refuse_frame();
  const int error = fixed_part<guest::RefusalPayload>(answer.payload).error_number;
  throw Error(ErrorCode::failed,
              system_error("the guest cannot write " + shortened(answer.payload), error).what());
}

void finish_tree(GuestSession& session, const Timeout& timeout) {
  session.send(FrameType::tree_end);
  const GuestFrame answer = session.next(timeout.from_now());
  if (answer.type != FrameType::done) fail(answer);
}

/// The size of a regular file; nothing for others, and trees.
std::optional<std::uint64_t> file_size_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

/// Sends a file or the content of a directory. Links are sent as links.
class TreeSender {
 public:
  /// `choice` may be null.
  TreeSender(GuestSession& session, std::string root, const Note& note, const Timeout& timeout,
             RunningOperation& operation, const TreeChoice* choice = nullptr)
      : session_(session),
        root_(std::move(root)),
        note_(note),
        timeout_(timeout),
        operation_(operation),
        choice_(choice) {}

  // A link as the root is followed. A pipe or a terminal is read to its end.
  void send() {
    const Fd root = open_root();
    struct stat status {};
    if (::fstat(root.get(), &status) != 0) throw system_error("cannot read " + full(""), errno);
    if (S_ISDIR(status.st_mode)) return send_directory(root.get());
    is_stream_ = !S_ISREG(status.st_mode);
    send_file(root.get(), "", status);
  }

  void send_empty_directory() {
    struct stat status {};
    status.st_mode = S_IFDIR | 0755;
    status.st_mtim.tv_sec = ::time(nullptr);
    send_entry(EntryKind::directory, "", status);
  }

  /// How many entries could not be read.
  [[nodiscard]] std::size_t unreadable() const noexcept { return unreadable_; }

 private:
  using Piece = std::array<char, guest::kStreamPiece>;
  static constexpr std::size_t kWorthSending = guest::kStreamPiece;

  [[nodiscard]] Fd open_root() const {
    Fd root(try_open(AT_FDCWD, root_.c_str(), O_RDONLY | O_NONBLOCK));
    const int error = errno;
    // A socket cannot be reopened.
    if (!root && error == ENXIO) root = duplicate_own_descriptor(root_);
    if (!root) throw system_error("cannot read " + full(""), error);
    return root;
  }

  [[nodiscard]] std::string full(const std::string& path) const {
    return shortened(path.empty() ? root_ : root_ + '/' + path);
  }

  // As with cp -r, the other entries are copied.
  void leave_out(const std::string& path, int error) {
    if (path.empty()) throw system_error("cannot read " + full(path), error);
    ++unreadable_;
    note_(system_error("cannot read " + full(path), error).what() + std::string(": left out"));
  }

  void send_entry(EntryKind kind, const std::string& text, const struct stat& status) {
    guest::EntryPayload entry;
    entry.modified = status.st_mtim.tv_sec;
    entry.nanoseconds = static_cast<std::uint32_t>(status.st_mtim.tv_nsec);
    entry.mode = static_cast<std::uint16_t>(status.st_mode & kPermissions);
    entry.kind = kind;
    session_.send_fixed(FrameType::entry, entry, text);
    pass_on();
  }

  // Small files go together. The guest reports a failure, as a full disk, at once.
  void pass_on() {
    if (session_.collected() < kWorthSending) return;
    session_.send_all(timeout_);
    if (const auto frame = session_.try_next()) fail(*frame);
  }

  // An unreadable file is not sent at all.
  void send_file(int file, const std::string& path, const struct stat& status) {
    const bool has_holes = !is_stream_ && status.st_blocks * 512 < status.st_size;
    Piece piece;
    const ssize_t got = has_holes ? ::pread(file, piece.data(), 1, 0) : read_piece(file, piece);
    if (got < 0) return leave_out(path, errno);
    send_entry(EntryKind::file, path, status);
    if (has_holes) return send_extents(file, path, status.st_size);
    send_data(path, piece, got);
    if (got > 0) send_data(file, path);
  }

  void send_content(std::string_view content, const std::string& path, const struct stat& status) {
    send_entry(EntryKind::file, path, status);
    for (; !content.empty(); content.remove_prefix(std::min(content.size(), guest::kStreamPiece))) {
      session_.send(FrameType::data, content.substr(0, guest::kStreamPiece));
      pass_on();
    }
  }

  void send_extents(int file, const std::string& path, off_t size) {
    for (off_t at = 0; at < size;) {
      off_t data = ::lseek(file, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) data = size;
      const off_t end = data < size ? ::lseek(file, data, SEEK_HOLE) : size;
      if (data < at || end < data) throw system_error("cannot read " + full(path), errno);
      send_hole(static_cast<std::uint64_t>(data - at));
      ::lseek(file, data, SEEK_SET);
      if (!send_data(file, path, end - data)) return;  // it was cut meanwhile
      at = end;
    }
  }

  void send_hole(std::uint64_t size) {
    while (size > 0) {
      const std::uint64_t piece = std::min(size, guest::kMaxHole);
      session_.send_fixed(FrameType::hole, guest::HolePayload{piece});
      size -= piece;
    }
    pass_on();
  }

  /// Sends so many bytes; false when there are fewer.
  bool send_data(int file, const std::string& path,
                 off_t left = std::numeric_limits<off_t>::max()) {
    Piece piece;
    while (left > 0) {
      const auto most = static_cast<std::size_t>(std::min<off_t>(left, piece.size()));
      const ssize_t got = read_piece(file, std::span(piece).first(most));
      send_data(path, piece, got);
      if (got == 0) return false;
      left -= got;
    }
    return true;
  }

  void send_data(const std::string& path, const Piece& piece, ssize_t size) {
    if (size < 0) throw system_error("cannot read " + full(path), errno);
    if (size == 0) return;
    session_.send(FrameType::data, {piece.data(), static_cast<std::size_t>(size)});
    pass_on();
    operation_.add(static_cast<std::uint64_t>(size));
  }

  [[nodiscard]] ssize_t read_piece(int file, std::span<char> piece) {
    while (true) {
      if (is_stream_) wait_until_readable(file);
      const ssize_t got = ::read(file, piece.data(), piece.size());
      if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    }
  }

  // The writer of a pipe may be slow; the idle timeout is for the guest.
  void wait_until_readable(int stream) {
    pollfd ready{stream, POLLIN, 0};
    while (ready.revents == 0) {
      if (session_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      if (!session_.wait({&ready, 1}, timeout_.end)) {
        throw Error(ErrorCode::failed, "nothing more came from " + full("") + " in time");
      }
      if (const auto frame = session_.try_next()) fail(*frame);
    }
  }

  void send_directory(int root) {
    walk_tree(root, ".", {},
              {.visit = [this](const TreePlace& place) { return send(place); },
               .failed =
                   [this](const Error& error) {
                     ++unreadable_;
                     note_(error.what() + std::string(": left out"));
                   }});
  }

  /// Whether it is a directory with entries to be sent.
  [[nodiscard]] bool send(const TreePlace& place) {
    const std::string path = place.path().string();
    // Too long for the guest.
    if (path.size() >= PATH_MAX) return leave_out(path, ENAMETOOLONG), false;
    struct stat status {};
    if (::fstatat(place.directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return leave_out(path, errno), false;
    }
    if (choice_ != nullptr && !choice_->wants(path, S_ISDIR(status.st_mode))) return false;
    if (S_ISLNK(status.st_mode)) return send_link(place, path, status), false;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
      return note_(full(path) + " is no file, directory or link: left out"), false;
    }
    const Fd child(
        try_open(place.directory, place.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    if (!child) return leave_out(path, errno), false;
    if (S_ISREG(status.st_mode) && choice_ != nullptr) {
      if (const auto content = choice_->content_of(path, child.get())) {
        return send_content(*content, path, status), false;
      }
    }
    if (!S_ISDIR(status.st_mode)) return send_file(child.get(), path, status), false;
    send_entry(EntryKind::directory, path, status);
    return true;
  }

  void send_link(const TreePlace& place, const std::string& path, const struct stat& status) {
    std::array<char, PATH_MAX> target;
    const ssize_t size =
        ::readlinkat(place.directory, place.name.c_str(), target.data(), target.size());
    if (size < 0) return leave_out(path, errno);
    send_entry(EntryKind::link,
               path + '\0' + std::string(target.data(), static_cast<std::size_t>(size)), status);
  }

  GuestSession& session_;
  const std::string root_;
  const Note& note_;
  const Timeout& timeout_;
  RunningOperation& operation_;
  const TreeChoice* const choice_;
  bool is_stream_ = false;
  std::size_t unreadable_ = 0;
};

}  // namespace

std::size_t copy_in(GuestSession& session, const Copy& copy, const Note& note,
                    const Timeout& timeout, ProgressListener* progress) {
  RunningOperation operation(progress, {.name = "copying in",
                                        .subject = copy.from,
                                        .unit = ProgressUnit::bytes,
                                        .total = file_size_of(copy.from)});
  for (const std::string& path : {copy.from, copy.to}) require_no_zero_byte(path);
  try {
    const Note tell = limit_notes(note);
    TreeSender sender(session, copy.from, tell, timeout, operation);
    session.send(FrameType::put, copy.to + '\0' + copied_name(copy.from));
    sender.send();
    finish_tree(session, timeout);
    return sender.unreadable();
  } catch (Error& error) {
    timeout.explain(error);
    error.add_context("cannot copy " + shortened(copy.from) + " to " + shortened(copy.to) +
                      " in the guest");
    throw;
  }
}

std::size_t send_seed(GuestSession& session, const SeedOptions& seed, const Note& note,
                      const Timeout& timeout, ProgressListener* progress) {
  const std::string& from = seed.from;
  RunningOperation operation(
      progress,
      {.name = "copying in", .subject = from, .unit = ProgressUnit::bytes, .total = seed.bytes});
  try {
    const Note tell = limit_notes(note);
    TreeSender sender(session, from, tell, timeout, operation, seed.choice);
    if (!seed.user.empty()) session.send(FrameType::user, seed.user);
    session.send(FrameType::seed);
    from.empty() ? sender.send_empty_directory() : sender.send();
    finish_tree(session, timeout);
    return sender.unreadable();
  } catch (Error& error) {
    timeout.explain(error);
    error.add_context(from.empty() ? std::string("cannot make the directory of the workspace")
                                   : "cannot copy " + shortened(from) + " to the workspace");
    throw;
  }
}

void replace_files(GuestSession& session, const std::string& from,
                   const std::vector<std::string>& removed, const Note& note,
                   const Timeout& timeout) {
  RunningOperation operation(nullptr, {});
  try {
    TreeSender sender(session, from, note, timeout, operation);
    send_paths(session, removed);
    session.send(FrameType::replace);
    sender.send();
    finish_tree(session, timeout);
  } catch (Error& error) {
    throw error.add_context("cannot change the files of the workspace");
  }
}

}  // namespace pyro
