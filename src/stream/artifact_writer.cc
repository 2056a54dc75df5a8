// Writes artifacts on a thread of its own.
#include "stream/artifact_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/files.h"

namespace pyro {
namespace {

// Writing back early spreads the I/O over the pull, so that the fsync at its end finds little left;
// and the hasher need not be woken for every buffer.
constexpr std::uint64_t kPassOnStep = 8U << 20;

// A sparse map may scatter a buffer over as many blocks as it has bytes, each of which is a step
// with a copy of its own.
constexpr std::size_t kMostSteps = 128;

}  // namespace

ArtifactWriter::ArtifactWriter(std::vector<int> files)
    : files_(std::move(files)),
      begun_(files_.size()),
      hasher_(files_),
      worker_(kBuffers, [this](Batch& batch) { carry_out(batch); }) {}

std::span<std::byte> ArtifactWriter::acquire() {
  if (!steps_.empty() || lent_) hand_over();
  if (!buffer_) buffer_ = free_buffer();
  return {buffer_.get(), kBufferSize};
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
  }
  add(std::move(step));
}

void ArtifactWriter::end() {
  add({.kind = Step::Kind::end});
}

void ArtifactWriter::add(Step step) {
  steps_.push_back(std::move(step));
  if (steps_.size() < kMostSteps) return;
  worker_.push({nullptr, std::move(steps_)});
  steps_.clear();
  lent_ = true;
}

std::vector<std::optional<Digest>> ArtifactWriter::finish() {
  hand_over();
  worker_.drain();
  return hasher_.finish();
}

void ArtifactWriter::hand_over() {
  worker_.push({std::move(buffer_), std::move(steps_)});
  steps_.clear();
  lent_ = false;
}

ArtifactWriter::Buffer ArtifactWriter::free_buffer() {
  const std::lock_guard lock(mutex_);
  if (free_buffers_.empty()) return std::make_unique_for_overwrite<std::byte[]>(kBufferSize);
  Buffer buffer = std::move(free_buffers_.back());
  free_buffers_.pop_back();
  return buffer;
}

void ArtifactWriter::carry_out(Batch& batch) {
  for (const Step& step : batch.steps) carry_out(step);
  if (!batch.buffer) return;
  const std::lock_guard lock(mutex_);
  free_buffers_.push_back(std::move(batch.buffer));
}

void ArtifactWriter::carry_out(const Step& step) {
  switch (step.kind) {
    case Step::Kind::begin:
      return begin_file(step);
    case Step::Kind::data:
      return write(step.number, step.bytes);
    case Step::Kind::end:
      return end_file();
  }
}

void ArtifactWriter::begin_file(const Step& step) {
  open_ = {.index = step.index, .size = step.number, .subject = step.subject};
  // The hasher may still read what a lower layer had here.
  if (begun_[step.index]) (void)hasher_.finish();
  begun_[step.index] = true;
  // Emptied first: a file that an upper layer replaces must leave none of its data in the holes.
  if (::ftruncate(files_[step.index], 0) != 0 ||
      ::ftruncate(files_[step.index], static_cast<off_t>(step.number)) != 0) {
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
  if (open_.position - open_.flushed >= kPassOnStep) pass_on();
}

void ArtifactWriter::end_file() {
  pass_on();
  hasher_.end(open_.size);
}

void ArtifactWriter::pass_on() {
  // Advice: where it is not possible, the fsync before publishing does all of it.
  ::sync_file_range(files_[open_.index], static_cast<off_t>(open_.flushed),
                    static_cast<off_t>(open_.position - open_.flushed), SYNC_FILE_RANGE_WRITE);
  open_.flushed = open_.position;
  if (!open_.written.empty()) hasher_.written(std::exchange(open_.written, {}));
}

}  // namespace pyro
