// Hashes files behind their writers.
#include "stream/verity_hasher.h"

#include <sched.h>

#include <algorithm>
#include <bitset>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/fs_verity.h"
#include "base/hash.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kBlockSize = FsVerity::kBlockSize;
constexpr std::size_t kGroupBlocks = FsVerity::kGroupBlocks;
constexpr std::size_t kGroupSize = FsVerity::kGroupSize;

/// Which blocks of a group hold data; the others are zeros.
using Blocks = std::bitset<kGroupBlocks>;

/// Reads and hashes the data of one group.
class GroupReader {
 public:
  /// The hashes of all blocks. The file ends at `size`.
  const std::vector<Digest>& hash_blocks(int file, std::uint64_t group, const Blocks& data,
                                         std::uint64_t size, const std::string& subject) {
    hashes_.assign(kGroupBlocks, FsVerity::zero_hash(0));
    for (std::size_t first = 0, end = 0; first < kGroupBlocks; first = end + 1) {
      while (first < kGroupBlocks && !data[first]) ++first;
      for (end = first; end < kGroupBlocks && data[end];) ++end;
      if (first == end) break;
      const std::uint64_t offset = group * kGroupSize + first * kBlockSize;
      const std::uint64_t left = size - std::min(size, offset);
      const auto bytes = std::span(buffer_).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(left, (end - first) * kBlockSize)));
      if (pread_full(file, bytes, offset, subject) < bytes.size()) {
        throw Error(ErrorCode::filesystem, subject + " is shorter than the data written to it");
      }
      std::ranges::copy(FsVerity::hash_blocks(bytes),
                        hashes_.begin() + static_cast<std::ptrdiff_t>(first));
    }
    return hashes_;
  }

 private:
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kGroupSize);
  std::vector<Digest> hashes_;
};

}  // namespace

/// The state that both threads share. The mutex is held for a few assignments only: the caller has
/// to wait when the idle thread loses its turn while it holds it.
class VerityHasher::Shared {
 public:
  void begin(int file, std::string subject) {
    const std::lock_guard lock(mutex_);
    forget_file();
    file_ = file;
    subject_ = std::move(subject);
  }

  void mark(std::uint64_t offset, std::uint64_t size, bool is_data) {
    if (size == 0) return;
    const std::lock_guard lock(mutex_);
    const std::uint64_t end = (offset + size + kBlockSize - 1) / kBlockSize;
    groups_.resize(std::max<std::size_t>(groups_.size(), (end - 1) / kGroupBlocks + 1));
    for (std::uint64_t block = offset / kBlockSize; block < end; ++block) {
      Group& group = groups_[block / kGroupBlocks];
      group.data[block % kGroupBlocks] = is_data;
      group.hash.reset();
      ++group.changes;
    }
    if (!is_data) return;
    complete_ = std::max(complete_, (offset + size) / kGroupSize);
    if (next_ < complete_) changed_.notify_one();
  }

  Digest end(std::uint64_t size) {
    std::unique_lock lock(mutex_);
    groups_.resize((size + kGroupSize - 1) / kGroupSize);
    complete_ = size / kGroupSize;
    next_ = 0;  // groups that were changed after their turn
    changed_.notify_one();
    // Both threads take what is left, one group after the other.
    while (hash_next(lock, reader_)) {
    }
    const std::vector<Group> groups = std::exchange(groups_, {});
    const std::uint64_t complete = complete_;
    forget_file();
    lock.unlock();

    FsVerity verity;
    for (std::uint64_t i = 0; i < groups.size(); ++i) {
      if (groups[i].hash) {
        verity.add_group(*groups[i].hash);
      } else if (i < complete && groups[i].data.none()) {
        verity.add_group(FsVerity::zero_hash(1));
      } else {
        const auto& hashes = reader_.hash_blocks(file_, i, groups[i].data, size, subject_);
        const std::uint64_t blocks = (size - i * kGroupSize + kBlockSize - 1) / kBlockSize;
        verity.add_hashes(std::span(hashes).first(std::min<std::size_t>(blocks, kGroupBlocks)));
      }
    }
    return verity.finish(size);
  }

  void hash_when_idle() {
    // For ever: going back takes a privilege.
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_IDLE, &none);
    GroupReader reader;
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, [&] { return is_over_ || next_ < complete_; }), !is_over_) {
      is_hashing_ = true;
      static_cast<void>(hash_next(lock, reader));
      is_hashing_ = false;
      changed_.notify_one();
    }
  }

  void stop() {
    std::unique_lock lock(mutex_);
    is_over_ = true;
    changed_.notify_one();
    changed_.wait(lock, [&] { return !is_hashing_; });
  }

 private:
  struct Group {
    Blocks data = {};
    std::optional<Digest> hash = {};
    std::uint32_t changes = 0;
  };

  void forget_file() {
    groups_.clear();
    next_ = complete_ = 0;
    ++turn_;
  }

  /// Hashes the next group that has to be; false when there is none.
  bool hash_next(std::unique_lock<std::mutex>& lock, GroupReader& reader) {
    const auto is_done = [](const Group& group) { return group.hash || group.data.none(); };
    while (next_ < complete_ && is_done(groups_[next_])) ++next_;
    if (next_ >= complete_) return false;
    const std::uint64_t index = next_++;
    const Group group = groups_[index];
    const std::uint64_t turn = turn_;
    const int file = file_;
    lock.unlock();
    std::optional<Digest> hash;
    try {
      const auto& blocks = reader.hash_blocks(file, index, group.data, UINT64_MAX, "");
      hash = FsVerity::hash_group(std::span<const Digest, kGroupBlocks>(blocks));
    } catch (const Error&) {
      // end() reads it again, and reports the failure.
    }
    lock.lock();
    if (turn_ == turn && groups_[index].changes == group.changes) groups_[index].hash = hash;
    return true;
  }

  GroupReader reader_;  // the caller's

  std::mutex mutex_;
  std::condition_variable changed_;
  int file_ = -1;
  std::string subject_;
  std::vector<Group> groups_;
  std::uint64_t next_ = 0;      ///< The first group that no thread has begun.
  std::uint64_t complete_ = 0;  ///< So many groups are written to their end.
  std::uint64_t turn_ = 0;      ///< Raised with every file, so that no hash is another file's.
  bool is_hashing_ = false;     ///< The thread.
  bool is_over_ = false;
};

VerityHasher::VerityHasher() : shared_(std::make_shared<Shared>()) {
  // OpenSSL does not free what it makes for the thread that sets it up, unless that is the main
  // one.
  static_cast<void>(sha256(std::string_view()));
  // Joining it would be waiting for it.
  std::thread([shared = shared_] { shared->hash_when_idle(); }).detach();
}

VerityHasher::~VerityHasher() {
  shared_->stop();
}

void VerityHasher::begin(int file, std::string subject) {
  shared_->begin(file, std::move(subject));
}

void VerityHasher::written(std::uint64_t offset, std::uint64_t size) {
  shared_->mark(offset, size, true);
}

void VerityHasher::freed(std::uint64_t offset, std::uint64_t size) {
  shared_->mark(offset, size, false);
}

Digest VerityHasher::end(std::uint64_t size) {
  return shared_->end(size);
}

}  // namespace pyro
