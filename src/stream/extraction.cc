// The right-hand side of a pull.
#include "stream/extraction.h"

#include <utility>

#include "pyro/error.h"
#include "stream/layer_reader.h"

namespace pyro {
namespace {

// How much is still taken, and thrown away, once extracting failed.
constexpr std::uint64_t kMostDiscarded = 64U << 20;

}  // namespace

Extraction::Extraction(std::vector<int> files, const ExtractionLimits& limits)
    : limits_(limits), writer_(std::move(files)), thread_([this] { run(); }) {}

Extraction::~Extraction() {
  abort();
  if (thread_.joinable()) thread_.join();
}

void Extraction::abort() {
  aborted_ = true;
  pipe_.abort();
}

void Extraction::begin_layer(std::string label, Checksums checksums) {
  const std::lock_guard lock(mutex_);
  layers_.push_back({std::move(label), checksums});
}

Checksums Extraction::checksums_of(std::size_t layer) {
  const std::lock_guard lock(mutex_);
  return layers_[layer].checksums;
}

void Extraction::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (written_ > limits_.compressed_bytes) {
    throw Error(
        ErrorCode::integrity,
        "more than " + std::to_string(limits_.compressed_bytes >> 20) + " MiB of compressed data");
  }
  if (pipe_.write(bytes)) return;
  discarded_ += bytes.size();
  if (discarded_ > kMostDiscarded) rethrow_failure();
}

void Extraction::end_layer() {
  pipe_.end_stream();
  rethrow_failure();
}

std::vector<WrittenArtifact> Extraction::finish() {
  pipe_.close();
  thread_.join();
  rethrow_failure();
  return std::move(artifacts_);
}

void Extraction::run() {
  std::size_t layers = 0;
  try {
    extract_layers(layers);
    return;
  } catch (Error& error) {
    const std::lock_guard lock(mutex_);
    if (layers > 0) error.add_context(layers_[layers - 1].label);
    failure_ = std::make_exception_ptr(error);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  pipe_.give_up();
}

void Extraction::extract_layers(std::size_t& current) {
  MergedView view;
  ExtractionBudget budget{limits_, aborted_};
  while (pipe_.next_stream()) {
    const Checksums checksums = checksums_of(current++);
    LayerReader([this] { return pipe_.next(); }, checksums, view, writer_, budget).run();
  }
  if (aborted_) throw Error(ErrorCode::interrupted, "interrupted");
  current = 0;
  const auto choices = view.choose();
  const auto digests = writer_.finish();
  for (const MergedView::Choice& choice : choices) {
    artifacts_.push_back({choice.kind, choice.file, choice.size, digests[choice.file].value()});
  }
}

void Extraction::rethrow_failure() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace pyro
