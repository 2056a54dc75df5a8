// Writes artifacts on a thread of its own.
#include "stream/artifact_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/files.h"
#include "base/whole_calls.h"

namespace pyro {
namespace {

// Writing back early spreads the I/O over the pull, so that the fsync at its end finds little left;
// and the hasher need not be woken for every buffer.
constexpr std::uint64_t kHashStep = 8U << 20;

// A sparse map may scatter a buffer over as many blocks as it has bytes, each of which is a step
// with a copy of its own.
constexpr std::size_t kMostSteps = 128;
constexpr std::size_t kMostBatches = 64;

}  // namespace

ArtifactWriter::ArtifactWriter(std::vector<int> files)
    : files_(std::move(files)),
      begun_(files_.size()),
      hasher_(files_),
      worker_(kMostBatches, [this](const Batch& batch) { carry_out(batch); }) {}

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
  if (steps_.size() >= kMostSteps) pass_on();
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
  // A caller that waits for room gets it, and the error with its next batch.
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
  // The hasher may still read what a lower layer had here.
  if (begun_[step.index]) (void)hasher_.finish();
  begun_[step.index] = true;
  // Emptied first: a file that an upper layer replaces must leave none of its data in the holes.
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
  if (open_.position - open_.flushed >= kHashStep) have_hashed();
}

void ArtifactWriter::end_file(std::uint64_t size) {
  if (size != open_.size && !set_size(files_[open_.index], size)) {
    throw system_error("cannot write " + open_.subject, errno);
  }
  have_hashed();
  hasher_.end(size);
}

void ArtifactWriter::have_hashed() {
  // Advice: where it is not possible, the fsync before publishing does all of it.
  ::sync_file_range(files_[open_.index], static_cast<off_t>(open_.flushed),
                    static_cast<off_t>(open_.position - open_.flushed), SYNC_FILE_RANGE_WRITE);
  open_.flushed = open_.position;
  if (!open_.written.empty()) hasher_.written(std::exchange(open_.written, {}));
}

}  // namespace pyro
