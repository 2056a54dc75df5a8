// A file copied as cheaply as the file systems can, with its holes.
#include "source/copy_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "base/free_space.h"
#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kBufferSize = std::size_t{256} * 1024;
/// In one system call, so that a request to stop is soon heard.
constexpr off_t kPiece = off_t{64} << 20;

class Copying {
 public:
  Copying(const std::filesystem::path& from, const Fd& to, const std::string& name,
          const std::stop_token& stop)
      : path_(from.string()),
        // Whatever it is by now, opening it must not wait.
        from_(open_at(AT_FDCWD, path_, O_RDONLY | O_NONBLOCK, 0, from)),
        to_(to),
        name_(name),
        stop_(stop) {}

  void run(const std::filesystem::path& room) {
    if (::ioctl(to_.get(), FICLONE, from_.get()) == 0) return;
    struct stat status {};
    if (::fstat(from_.get(), &status) != 0) throw system_error("cannot copy " + path_, errno);
    require_free_space(room, static_cast<std::uint64_t>(status.st_blocks) * 512);
    copy_data(status.st_size);
  }

 private:
  // What holds data; holes are left where there are holes.
  void copy_data(off_t size) {
    for (off_t offset = 0; offset < size;) {
      const off_t start = ::lseek(from_.get(), offset, SEEK_DATA);
      if (start < 0 && errno == ENXIO) break;
      off_t end = start < 0 ? size : ::lseek(from_.get(), start, SEEK_HOLE);
      if (end < 0) end = size;
      copy_range(start < 0 ? offset : start, end);
      offset = end;
    }
    if (!set_size(to_.get(), static_cast<std::uint64_t>(size))) {
      throw system_error("cannot write " + name_, errno);
    }
  }

  // In the kernel where the file systems can; otherwise through a buffer.
  void copy_range(off_t offset, off_t end) {
    while (offset < end) {
      check_stop();
      off_t in = offset;
      off_t out = offset;
      const auto piece = static_cast<std::size_t>(std::min(kPiece, end - offset));
      const ssize_t n = uninterrupted(
          [&] { return ::copy_file_range(from_.get(), &in, to_.get(), &out, piece, 0); });
      if (n <= 0) break;
      offset += n;
    }
    std::vector<std::byte> buffer(offset < end ? kBufferSize : 0);
    for (; offset < end; offset += static_cast<off_t>(buffer.size())) {
      check_stop();
      const auto wanted = std::min(buffer.size(), static_cast<std::size_t>(end - offset));
      copy_piece(std::span(buffer).first(wanted), static_cast<std::uint64_t>(offset));
    }
  }

  void copy_piece(std::span<std::byte> piece, std::uint64_t offset) {
    pread_all(from_.get(), piece, offset, path_);
    pwrite_all(to_.get(), piece, offset, name_);
  }

  void check_stop() const {
    if (stop_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  }

  const std::string path_;
  const Fd from_;
  const Fd& to_;
  const std::string& name_;
  const std::stop_token& stop_;
};

}  // namespace

Fd copy_file(const std::filesystem::path& from, int to, const std::string& name,
             const std::filesystem::path& room, const std::stop_token& stop) {
  Fd copy = open_at(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, name);
  Copying(from, copy, name, stop).run(room);
  sync_file(copy.get(), name);
  return copy;
}

}  // namespace pyro
