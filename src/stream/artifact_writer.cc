// Writes artifacts.
#include "stream/artifact_writer.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

// Writing back early spreads the I/O over the pull, so that the fsync at its end has little left to
// do.
constexpr std::uint64_t kFlushStep = 8U << 20;

// A sparse map may scatter a buffer over as many blocks as it has bytes, each a step with a copy.
constexpr std::size_t kMaxSteps = 128;
constexpr std::size_t kMaxBatches = 64;

}  // namespace

ArtifactWriter::ArtifactWriter(std::vector<int> files)
    : files_(std::move(files)),
      digests_(files_.size()),
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
  return digests_;
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
  // Emptied first: no data of a lower layer's file may stay in the holes.
  if (!set_size(files_[step.index], 0) || !set_size(files_[step.index], step.number)) {
    throw system_error("cannot write " + open_.subject, errno);
  }
  hasher_.begin(files_[step.index], step.subject);
}

void ArtifactWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  pwrite_all(files_[open_.index], bytes, offset, open_.subject);
  hasher_.written(offset, bytes.size());
  open_.position = offset + bytes.size();
  if (open_.position - open_.flushed >= kFlushStep) flush_written();
}

void ArtifactWriter::end_file(std::uint64_t size) {
  if (size != open_.size && !set_size(files_[open_.index], size)) {
    throw system_error("cannot write " + open_.subject, errno);
  }
  flush_written();
  digests_[open_.index] = hasher_.end(size);
}

void ArtifactWriter::flush_written() {
  // Advice only: the fsync before publishing does the rest.
  ::sync_file_range(files_[open_.index], static_cast<off_t>(open_.flushed),
                    static_cast<off_t>(open_.position - open_.flushed), SYNC_FILE_RANGE_WRITE);
  open_.flushed = open_.position;
}

}  // namespace pyro
