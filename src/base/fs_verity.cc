// The fs-verity digest of a file.
#include "base/fs_verity.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/files.h"

namespace pyro {
namespace {

// Of struct fsverity_descriptor, which the final hash covers.
Digest hash_descriptor(Sha256& hash, std::uint64_t size, const Digest::Bytes& root) {
  std::array<std::byte, 256> descriptor{};
  descriptor[0] = std::byte{1};   // version
  descriptor[1] = std::byte{1};   // FS_VERITY_HASH_ALG_SHA256
  descriptor[2] = std::byte{12};  // log2 of the block size
  for (std::size_t i = 0; i < 8; ++i) descriptor[8 + i] = static_cast<std::byte>(size >> (8 * i));
  std::copy(root.begin(), root.end(), descriptor.begin() + 16);
  hash.update(descriptor);
  return hash.finish();
}

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
      // Whole blocks only: a block that begins in a hole and ends in data is read.
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

  // `otherwise` where the file system does not report holes, or the file shrinks meanwhile.
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

void FsVerity::add_blocks(std::span<const std::byte> bytes) {
  add_hashes(hash_blocks(bytes));
}

void FsVerity::add_hashes(std::span<const Digest> hashes) {
  for (const Digest& hash : hashes) add_hash(0, hash);
}

std::vector<Digest> FsVerity::hash_blocks(std::span<const std::byte> bytes) {
  static_assert(kSha256LaneBytes == kBlockSize);
  std::vector<Digest> found;
  found.reserve(bytes.size() / kBlockSize + 1);
  Sha256 sha256;
  constexpr std::size_t kAtOnce = kSha256Lanes * kBlockSize;
  for (; has_sha256_lanes() && bytes.size() >= kAtOnce; bytes = bytes.subspan(kAtOnce)) {
    std::array<Digest::Bytes, kSha256Lanes> hashes;
    sha256_lanes(bytes.data(), hashes);
    for (const Digest::Bytes& hash : hashes) found.emplace_back(hash);
  }
  while (bytes.size() >= kBlockSize) {
    sha256.update(bytes.first(kBlockSize));
    found.push_back(sha256.finish());
    bytes = bytes.subspan(kBlockSize);
  }
  if (bytes.empty()) return found;
  std::array<std::byte, kBlockSize> last{};
  std::copy(bytes.begin(), bytes.end(), last.begin());
  sha256.update(last);
  found.push_back(sha256.finish());
  return found;
}

Digest FsVerity::hash_group(std::span<const Digest, kGroupBlocks> blocks) {
  std::array<std::byte, kBlockSize> hashes;
  auto end = hashes.begin();
  for (const Digest& block : blocks) end = std::ranges::copy(block.bytes(), end).out;
  return sha256(std::span<const std::byte>(hashes));
}

void FsVerity::add_zero_blocks(std::uint64_t count) {
  add_equal_hashes(0, count);
}

FsVerity::Level& FsVerity::level(std::size_t index) {
  if (index >= levels_.size()) levels_.resize(index + 1);
  return levels_[index];
}

void FsVerity::add_hash(std::size_t index, const Digest& hash) {
  Level& at = level(index);
  std::copy(hash.bytes().begin(), hash.bytes().end(), at.hashes.begin() + at.used);
  at.used += Digest::kSize;
  if (at.used == kBlockSize) close_block(index);
}

// Whole blocks of equal hashes go one level up as one equal hash each, so the work is logarithmic.
void FsVerity::add_equal_hashes(std::size_t index, std::uint64_t count) {
  while (count > 0 && level(index).used > 0) {
    add_hash(index, zero_hash(index));
    --count;
  }
  if (count >= kGroupBlocks) add_equal_hashes(index + 1, count / kGroupBlocks);
  for (std::uint64_t rest = count % kGroupBlocks; rest > 0; --rest) {
    add_hash(index, zero_hash(index));
  }
}

void FsVerity::close_block(std::size_t index) {
  Level& at = levels_[index];
  std::fill(at.hashes.begin() + at.used, at.hashes.end(), std::byte{0});
  at.used = 0;
  hash_.update(at.hashes);
  add_hash(index + 1, hash_.finish());
}

const Digest& FsVerity::zero_hash(std::size_t level) {
  // Never destroyed: a thread that hashes may outlive main().
  static const std::vector<Digest>& hashes = *new std::vector<Digest>([] {
    std::vector<Digest> made{
        sha256(std::span<const std::byte>(std::array<std::byte, kBlockSize>{}))};
    while (made.size() <= kMaxLevel) {
      std::vector<Digest> group(kGroupBlocks, made.back());
      made.push_back(hash_group(std::span<const Digest, kGroupBlocks>(group)));
    }
    return made;
  }());
  return hashes.at(level);
}

// The root is the only hash of the first level that has just one; an empty file's is zero.
Digest::Bytes FsVerity::root(std::uint64_t block_count) {
  Digest::Bytes root{};
  if (block_count == 0) return root;
  std::size_t index = 0;
  for (; block_count > 1; ++index) {
    if (level(index).used > 0) close_block(index);
    block_count = (block_count + kGroupBlocks - 1) / kGroupBlocks;
  }
  std::copy_n(level(index).hashes.begin(), root.size(), root.begin());
  return root;
}

Digest FsVerity::finish(std::uint64_t size) {
  const Digest digest = hash_descriptor(hash_, size, root((size + kBlockSize - 1) / kBlockSize));
  levels_.clear();
  return digest;
}

void read_sparse(int file, std::uint64_t size, const std::string& subject,
                 const std::stop_token& stop, const SparseSink& sink) {
  SparseReader(file, size, subject, stop, sink).run();
}

void copy_sparse(int from, int to, const std::string& subject, const std::stop_token& stop) {
  struct stat status {};
  if (::fstat(from, &status) != 0) throw system_error("cannot look at " + subject, errno);
  // Where the file system can, the copy shares the blocks.
  if (::ioctl(to, FICLONE, from) == 0) return;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (!set_size(to, size)) throw system_error("cannot enlarge " + subject, errno);
  std::uint64_t at = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    pwrite_all(to, bytes, at, subject);
    at += bytes.size();
  };
  read_sparse(from, size, subject, stop, {write, [&](std::uint64_t hole) { at += hole; }});
}

Digest file_verity(int fd, std::uint64_t size, const std::string& subject,
                   const std::stop_token& stop, RunningOperation* operation) {
  FsVerity verity;
  read_sparse(fd, size, subject, stop,
              {.data =
                   [&](std::span<const std::byte> bytes) {
                     verity.add_blocks(bytes);
                     if (operation != nullptr) operation->add(bytes.size());
                   },
               .hole = [&](std::uint64_t hole) { verity.add_zero_blocks(blocks_in(hole)); }});
  return verity.finish(size);
}

}  // namespace pyro
