// Reads a file without reading its holes.
#include "base/sparse_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/files.h"
#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = std::size_t{1} << 20;
static_assert(kReadSize % FsVerity::kBlockSize == 0);

std::uint64_t round_down(std::uint64_t offset) {
  return offset - offset % FsVerity::kBlockSize;
}

class SparseReader {
 public:
  SparseReader(int file, std::uint64_t size, const std::string& subject,
               const std::stop_token& stop, const SparseSink& sink)
      : file_(file), size_(size), subject_(subject), stop_(stop), sink_(sink) {}

  void run() {
    for (std::uint64_t at = 0; at < size_;) {
      const std::uint64_t data = std::min(size_, seek(at, SEEK_DATA, size_));
      // Whole blocks only; the one that begins in a hole and ends in data is read.
      const std::uint64_t start = data == size_ ? data : std::max(at, round_down(data));
      if (start > at) sink_.hole(start - at);
      if (start == size_) return;
      at = read(start, std::min(size_, round_up(seek(data, SEEK_HOLE, size_))));
    }
  }

 private:
  static std::uint64_t round_up(std::uint64_t offset) {
    return round_down(offset + FsVerity::kBlockSize - 1);
  }

  // A file system that cannot tell, or a file that shrinks meanwhile: `otherwise`.
  std::uint64_t seek(std::uint64_t from, int whence, std::uint64_t otherwise) {
    const off_t found = ::lseek(file_, static_cast<off_t>(from), whence);
    if (found >= 0) return static_cast<std::uint64_t>(found);
    return whence == SEEK_DATA && errno != ENXIO ? from : otherwise;
  }

  std::uint64_t read(std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      if (stop_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, to - from));
      pread_all(file_, {buffer_.get(), wanted}, from, subject_);
      sink_.data({buffer_.get(), wanted});
      from += wanted;
    }
    return to;
  }

  int file_;
  std::uint64_t size_;
  const std::string& subject_;
  const std::stop_token& stop_;
  const SparseSink& sink_;
  std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
};

}  // namespace

void read_sparse(int file, std::uint64_t size, const std::string& subject,
                 const std::stop_token& stop, const SparseSink& sink) {
  SparseReader(file, size, subject, stop, sink).run();
}

}  // namespace pyro
