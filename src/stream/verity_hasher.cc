// Hashes artifacts for fs-verity behind their writer.
#include "stream/verity_hasher.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kPieceSize = std::size_t{256} * 1024;
constexpr std::size_t kMostBehind = 8192;  // so many pieces take less than 1 MiB of memory

std::vector<Digest> hash_range(int file, DataRange range, std::span<std::byte> buffer,
                               const std::string& subject) {
  const auto bytes = buffer.first(range.size);
  if (pread_full(file, bytes, range.offset, subject) < bytes.size()) {
    throw Error(ErrorCode::filesystem, subject + " is shorter than what was written to it");
  }
  return FsVerity::hash_blocks(bytes);
}

}  // namespace

/// Of one range, read and hashed in one go.
struct VerityHasher::Piece {
  int file = -1;
  DataRange range;
  std::vector<Digest> hashes = {};  ///< Empty until it is hashed.
};

/// What both threads see. The mutex is held for a few assignments only: a thread of the idle class
/// that loses its turn with it is waited for after all.
class VerityHasher::Shared {
 public:
  void hash_when_idle() {
    // For good: the way back takes a privilege.
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_IDLE, &none);
    std::vector<std::byte> buffer(kPieceSize);
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, [&] { return over_ || begun_ < pieces_.size(); }), !over_) {
      const int file = pieces_[begun_].file;
      const DataRange range = pieces_[begun_].range;
      ++begun_;
      const std::uint64_t now = turn_;
      lock.unlock();
      std::vector<Digest> hashes;
      try {
        hashes = hash_range(file, range, buffer, "a file");
      } catch (const std::exception&) {
        // Left to the caller, who says what is wrong.
      }
      lock.lock();
      if (turn_ == now) pieces_[begun_ - 1].hashes = std::move(hashes);
    }
  }

  void end() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
  }

  void add(std::vector<Piece> more) {
    {
      const std::lock_guard lock(mutex_);
      std::ranges::move(more, std::back_inserter(pieces_));
    }
    changed_.notify_one();
  }

  /// The first ones, as far as they are hashed; all of them where so many are left then that the
  /// thread has to be helped.
  [[nodiscard]] std::vector<Piece> take_hashed(std::size_t most_behind) {
    const std::lock_guard lock(mutex_);
    const auto end = std::ranges::find_if(pieces_, [](const Piece& p) { return p.hashes.empty(); });
    const auto left = static_cast<std::size_t>(pieces_.end() - end);
    return left > most_behind ? take_up_to(pieces_.end()) : take_up_to(end);
  }

  [[nodiscard]] std::vector<Piece> take_all() {
    const std::lock_guard lock(mutex_);
    return take_up_to(pieces_.end());
  }

 private:
  std::vector<Piece> take_up_to(std::deque<Piece>::iterator end) {
    std::vector<Piece> taken(std::move_iterator(pieces_.begin()), std::move_iterator(end));
    if (taken.size() > begun_ || end == pieces_.end()) ++turn_;  // with the one that is begun
    begun_ -= std::min(begun_, taken.size());
    pieces_.erase(pieces_.begin(), end);
    return taken;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;  ///< Not taken yet, in their order.
  std::size_t begun_ = 0;     ///< How many of them the thread has looked at.
  std::uint64_t turn_ = 0;    ///< Another one after the piece that is begun was taken.
  bool over_ = false;
};

VerityHasher::VerityHasher(std::vector<int> files)
    : files_(std::move(files)),
      digests_(files_.size()),
      buffer_(kPieceSize),
      shared_(std::make_shared<Shared>()) {
  // Not joined, as that would be to wait for it.
  std::thread([shared = shared_] { shared->hash_when_idle(); }).detach();
}

VerityHasher::~VerityHasher() {
  shared_->end();
}

void VerityHasher::begin(std::size_t index, std::string subject) {
  catch_up();
  index_ = index;
  subject_ = std::move(subject);
  position_ = 0;
  verity_ = FsVerity();
}

void VerityHasher::written(const std::vector<DataRange>& ranges) {
  std::vector<Piece> pieces;
  for (DataRange range : ranges) {
    while (range.size > 0) {
      const auto size = std::min<std::uint64_t>(range.size, kPieceSize);
      pieces.push_back({files_[index_], {range.offset, size}});
      range.offset += size;
      range.size -= size;
    }
  }
  take(shared_->take_hashed(kMostBehind));
  shared_->add(std::move(pieces));
}

void VerityHasher::end(std::uint64_t size) {
  catch_up();
  hole_up_to(size + FsVerity::kBlockSize - 1);
  digests_[index_] = verity_.finish(size);
}

std::vector<std::optional<Digest>> VerityHasher::finish() {
  catch_up();
  return digests_;
}

void VerityHasher::catch_up() {
  take(shared_->take_all());
}

void VerityHasher::take(const std::vector<Piece>& pieces) {
  for (const Piece& piece : pieces) {
    hole_up_to(piece.range.offset);
    verity_.add_hashes(piece.hashes.empty() ? hash_range(piece.file, piece.range, buffer_, subject_)
                                            : piece.hashes);
    position_ = piece.range.offset + piece.range.size;
  }
}

// Positions and offsets are at block boundaries, but for the end of the file.
void VerityHasher::hole_up_to(std::uint64_t offset) {
  const std::uint64_t blocks = (position_ + FsVerity::kBlockSize - 1) / FsVerity::kBlockSize;
  verity_.add_zero_blocks(offset / FsVerity::kBlockSize - blocks);
}

}  // namespace pyro
