// Copies a file or tree from the host into a guest.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "vm/conversation.h"

namespace pyro {
namespace {

using guest::EntryKind;
using guest::FrameType;

constexpr mode_t kPermissions = 0777;

[[noreturn]] void fail(GuestFrame answer) {
  if (answer.type != FrameType::refused) refuse_frame();
  const int error = fixed_part<guest::RefusalPayload>(answer.payload).error_number;
  throw Error(ErrorCode::failed,
              system_error("the guest cannot write " + guest_words(answer.payload), error).what());
}

/// Sends what is below an open directory. Links are sent as they are, and never followed.
class TreeSender {
 public:
  TreeSender(GuestLink& link, std::string root, const Note& note, const Patience& patience)
      : link_(link), root_(std::move(root)), note_(note), patience_(patience) {}

  // The root itself is followed: who names a link means what it leads to.
  void send() {
    const Fd root = open_at(AT_FDCWD, root_, O_RDONLY | O_NONBLOCK, 0, root_);
    struct stat status {};
    if (::fstat(root.get(), &status) != 0) throw system_error("cannot read " + root_, errno);
    if (S_ISDIR(status.st_mode))
      send_directory(root.get(), "", status);
    else if (S_ISREG(status.st_mode))
      send_file(root.get(), "", status);
    else
      throw Error(ErrorCode::usage, root_ + " is neither a file nor a directory");
  }

 private:
  [[nodiscard]] std::string full(const std::string& path) const {
    return path.empty() ? root_ : root_ + '/' + path;
  }

  void send_entry(EntryKind kind, const std::string& text, const struct stat& status) {
    guest::EntryPayload entry;
    entry.modified = status.st_mtime;
    entry.mode = static_cast<std::uint16_t>(status.st_mode & kPermissions);
    entry.kind = kind;
    link_.send_fixed(FrameType::entry, entry, text);
    pass_on();
  }

  // A guest that has no room for the rest says so at once.
  void pass_on() {
    link_.send_all(patience_);
    link_.wait({}, Clock::now());
    if (const auto frame = link_.take()) fail(*frame);
  }

  void send_file(int file, const std::string& path, const struct stat& status) {
    send_entry(EntryKind::file, path, status);
    std::array<char, guest::kStreamPiece> piece;
    while (true) {
      const ssize_t got = ::read(file, piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw system_error("cannot read " + full(path), errno);
      if (got == 0) return;
      link_.send(FrameType::data, {piece.data(), static_cast<std::size_t>(got)});
      pass_on();
    }
  }

  void send_directory(int directory, const std::string& path, const struct stat& status) {
    send_entry(EntryKind::directory, path, status);
    auto names = directory_names(directory, full(path));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      send_child(directory, name, path.empty() ? name : path + '/' + name);
    }
  }

  void send_child(int directory, const std::string& name, const std::string& path) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      throw system_error("cannot read " + full(path), errno);
    }
    if (S_ISLNK(status.st_mode)) return send_link(directory, name, path, status);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
      return note_(full(path) + " is no file, directory or link: left out");
    }
    const Fd child = open_at(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, full(path));
    if (S_ISDIR(status.st_mode)) return send_directory(child.get(), path, status);
    send_file(child.get(), path, status);
  }

  void send_link(int directory, const std::string& name, const std::string& path,
                 const struct stat& status) {
    std::array<char, 4096> target;
    const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size < 0) throw system_error("cannot read " + full(path), errno);
    send_entry(EntryKind::link,
               path + '\0' + std::string(target.data(), static_cast<std::size_t>(size)), status);
  }

  GuestLink& link_;
  const std::string root_;
  const Note& note_;
  const Patience& patience_;
};

}  // namespace

void copy_in(GuestLink& link, const Copy& copy, const Note& note, const Patience& patience) {
  try {
    const Note tell = first_of(note);
    TreeSender sender(link, copy.from, tell, patience);
    link.send(FrameType::put, copy.to + '\0' + copied_name(copy.from));
    sender.send();
    link.send(FrameType::tree_end);
    const GuestFrame answer = link.next(patience.from_now());
    if (answer.type != FrameType::done) fail(answer);
  } catch (Error& error) {
    patience.explain(error);
    error.add_context("cannot copy " + copy.from + " to " + copy.to + " in the guest");
    throw;
  }
}

}  // namespace pyro
