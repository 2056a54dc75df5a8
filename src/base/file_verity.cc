// The fs-verity digest of a file that is there.
#include "base/file_verity.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>

#include "base/files.h"
#include "base/fs_verity.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = std::size_t{1} << 20;
static_assert(kReadSize % FsVerity::kBlockSize == 0);

std::uint64_t round_down(std::uint64_t offset) {
  return offset - offset % FsVerity::kBlockSize;
}

/// Hashes a file of `size` bytes, reading only where the file system says there is data.
class FileHasher {
 public:
  FileHasher(int fd, std::uint64_t size, std::string subject, const std::stop_token& stop)
      : fd_(fd), size_(size), subject_(std::move(subject)), stop_(stop) {}

  Digest run() {
    for (std::uint64_t at = 0; at < size_;) {
      const std::uint64_t data = std::min(size_, seek(at, SEEK_DATA, size_));
      const std::uint64_t start = data == size_ ? data : std::max(at, round_down(data));
      // Whole blocks only; the one that begins in a hole and ends in data is read.
      const std::uint64_t blocks_end = start == size_ ? round_up(start) : start;
      verity_.add_zero_blocks((blocks_end - at) / FsVerity::kBlockSize);
      if (start == size_) break;
      at = read(start, round_up(std::min(size_, seek(data, SEEK_HOLE, size_))));
    }
    return verity_.finish(size_);
  }

 private:
  static std::uint64_t round_up(std::uint64_t offset) {
    return round_down(offset + FsVerity::kBlockSize - 1);
  }

  // A file system that cannot tell, or a file that shrinks meanwhile: `otherwise`.
  std::uint64_t seek(std::uint64_t from, int whence, std::uint64_t otherwise) {
    const off_t found = ::lseek(fd_, static_cast<off_t>(from), whence);
    if (found >= 0) return static_cast<std::uint64_t>(found);
    return whence == SEEK_DATA && errno != ENXIO ? from : otherwise;
  }

  std::uint64_t read(std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      if (stop_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, std::min(to, size_) - from));
      const std::size_t n = pread_full(fd_, {buffer_.get(), wanted}, from, subject_);
      verity_.add_blocks({buffer_.get(), n});
      if (n < wanted) throw Error(ErrorCode::filesystem, subject_ + " changes while it is read");
      from = round_up(from + n);
    }
    return to;
  }

  int fd_;
  std::uint64_t size_;
  std::string subject_;
  const std::stop_token& stop_;
  FsVerity verity_;
  std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
};

}  // namespace

Digest file_verity(int fd, std::uint64_t size, const std::string& subject,
                   const std::stop_token& stop) {
  return FileHasher(fd, size, subject, stop).run();
}

}  // namespace pyro
