// Writes artifacts and hashes them.
#include "stream/artifact_writer.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

// Writing back early spreads the I/O over the pull, so that the fsync at its end has little left to
// do. The hasher is not woken for every buffer.
constexpr std::uint64_t kHashStep = 8U << 20;

// A sparse map may scatter a buffer over as many blocks as it has bytes, each a step with a copy.
constexpr std::size_t kMaxSteps = 128;
constexpr std::size_t kMaxBatches = 64;

constexpr std::size_t kHashPiece = std::size_t{256} * 1024;
constexpr std::size_t kMaxBehind = 8192;  // so many pieces take less than 1 MiB of memory

std::vector<Digest> hash_range(int file, DataRange range, std::span<std::byte> buffer,
                               const std::string& subject) {
  const auto bytes = buffer.first(range.size);
  if (pread_full(file, bytes, range.offset, subject) < bytes.size()) {
    throw Error(ErrorCode::filesystem, subject + " is shorter than the data written to it");
  }
  return FsVerity::hash_blocks(bytes);
}

}  // namespace

// --- the writer ---

ArtifactWriter::ArtifactWriter(std::vector<int> files)
    : files_(std::move(files)),
      begun_(files_.size()),
      hasher_(files_),
      worker_(kMaxBatches, [this](const Batch& batch) { carry_out(batch); }) {}

void ArtifactWriter::pass_on() {
  if (steps_.empty()) return;
  const OutputRing::Hold hold = held_in_->hold(std::exchange(held_, {}));
  worker_.push({std::exchange(steps_, {}), held_in_, hold});
}

void ArtifactWriter::hold(std::span<const std::byte> bytes) {
  OutputRing* const ring = &rings_[rings_[0].has(bytes) ? 0 : 1];
  if (ring != held_in_) pass_on();
  held_in_ = ring;
  const std::byte* const first = held_.empty() ? bytes.data() : held_.data();
  held_ = {first, bytes.data() + bytes.size()};
}

void ArtifactWriter::begin(std::size_t index, std::uint64_t size, std::string subject) {
  add({.kind = Step::Kind::begin, .index = index, .number = size, .subject = std::move(subject)});
}

void ArtifactWriter::data(std::uint64_t offset, std::span<const std::byte> bytes,
                          Lifetime lifetime) {
  Step step{.kind = Step::Kind::data, .number = offset, .bytes = bytes};
  if (lifetime == Lifetime::call) {
    step.owned.assign(bytes.begin(), bytes.end());
    step.bytes = step.owned;
  } else {
    hold(bytes);
  }
  add(std::move(step));
}

void ArtifactWriter::end(std::uint64_t size) {
  add({.kind = Step::Kind::end, .number = size});
}

void ArtifactWriter::add(Step step) {
  steps_.push_back(std::move(step));
  if (steps_.size() >= kMaxSteps) pass_on();
}

std::vector<std::optional<Digest>> ArtifactWriter::finish() {
  pass_on();
  worker_.drain();
  return hasher_.finish();
}

void ArtifactWriter::carry_out(const Batch& batch) try {
  for (const Step& step : batch.steps) carry_out(step);
  batch.ring->release(batch.hold);
} catch (...) {
  // A caller that waits for memory gets it, and the error with its next batch.
  for (OutputRing& ring : rings_) ring.abandon();
  throw;
}

void ArtifactWriter::carry_out(const Step& step) {
  switch (step.kind) {
    case Step::Kind::begin:
      return begin_file(step);
    case Step::Kind::data:
      return write(step.number, step.bytes);
    case Step::Kind::end:
      return end_file(step.number);
  }
}

void ArtifactWriter::begin_file(const Step& step) {
  open_ = {.index = step.index, .size = step.number, .subject = step.subject};
  // The hasher may still read this file's content from a lower layer.
  if (begun_[step.index]) (void)hasher_.finish();
  begun_[step.index] = true;
  // Emptied first: no data of a lower layer's file may stay in the holes.
  if (!set_size(files_[step.index], 0) || !set_size(files_[step.index], step.number)) {
    throw system_error("cannot write " + open_.subject, errno);
  }
  hasher_.begin(step.index, step.subject);
}

void ArtifactWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  pwrite_all(files_[open_.index], bytes, offset, open_.subject);
  if (!open_.written.empty() && open_.position == offset) {
    open_.written.back().size += bytes.size();
  } else {
    open_.written.push_back({offset, bytes.size()});
  }
  open_.position = offset + bytes.size();
  if (open_.position - open_.flushed >= kHashStep) flush_written();
}

void ArtifactWriter::end_file(std::uint64_t size) {
  if (size != open_.size && !set_size(files_[open_.index], size)) {
    throw system_error("cannot write " + open_.subject, errno);
  }
  flush_written();
  hasher_.end(size);
}

void ArtifactWriter::flush_written() {
  // Advice only: the fsync before publishing does the rest.
  ::sync_file_range(files_[open_.index], static_cast<off_t>(open_.flushed),
                    static_cast<off_t>(open_.position - open_.flushed), SYNC_FILE_RANGE_WRITE);
  open_.flushed = open_.position;
  if (!open_.written.empty()) hasher_.written(std::exchange(open_.written, {}));
}

// --- the hasher ---

/// A range that is read and hashed at once.
struct VerityHasher::Piece {
  int file = -1;
  DataRange range;
  std::vector<Digest> hashes = {};  ///< Empty until it is hashed.
};

/// The state that both threads share. The mutex is held for a few assignments only: the caller has
/// to wait when the idle thread loses its turn while it holds it.
class VerityHasher::Shared {
 public:
  void hash_when_idle() {
    // For ever: going back takes a privilege.
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_IDLE, &none);
    std::vector<std::byte> buffer(kHashPiece);
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
        // Left to the caller, which reports the failure.
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

  /// The first pieces as far as they are hashed; all pieces when more than `most_behind` are not.
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
  std::vector<Piece> take_up_to(const std::deque<Piece>::iterator& end) {
    std::vector<Piece> taken(std::move_iterator(pieces_.begin()), std::move_iterator(end));
    if (taken.size() > begun_ || end == pieces_.end()) ++turn_;  // including the begun one
    begun_ -= std::min(begun_, taken.size());
    pieces_.erase(pieces_.begin(), end);
    return taken;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;  ///< Not taken yet, in their order.
  std::size_t begun_ = 0;     ///< The number of them that the thread has begun.
  std::uint64_t turn_ = 0;    ///< Raised when the begun piece is taken.
  bool over_ = false;
};

VerityHasher::VerityHasher(std::vector<int> files)
    : files_(std::move(files)),
      digests_(files_.size()),
      buffer_(kHashPiece),
      shared_(std::make_shared<Shared>()) {
  // Joining it would be waiting for it.
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
      const auto size = std::min<std::uint64_t>(range.size, kHashPiece);
      pieces.push_back({files_[index_], {range.offset, size}});
      range.offset += size;
      range.size -= size;
    }
  }
  take(shared_->take_hashed(kMaxBehind));
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
